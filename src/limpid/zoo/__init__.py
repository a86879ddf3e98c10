"""The zoo: trained weights with a card that says what they are.

Some come with Limpid (`weights/` beside this file); a user's own lie in `LIMPID_ZOO`, by default `~/.cache/limpid/zoo`.
An entry is two files of one name: `NAME.safetensors`, whose header names the network and its settings, so that it is a
checkpoint by itself, and the card `NAME.yaml`. Of weights that others publish only the cards come with Limpid
(`published/`); using them by their name is all that opens a connection.
"""

from limpid.zoo.card import (
    PREFIX,
    Card,
    aliases,
    cards,
    default_for,
    find,
    folders,
    how_to_name,
    is_default,
    own_folder,
    own_name,
    parse_zoo_name,
    sha256,
    stamps,
)

__all__ = [
    "PREFIX",
    "Card",
    "aliases",
    "cards",
    "default_for",
    "find",
    "folders",
    "how_to_name",
    "is_default",
    "own_folder",
    "own_name",
    "parse_zoo_name",
    "sha256",
    "stamps",
]
