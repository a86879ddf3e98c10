"""What `model=auto` guesses on photographs whose weather is known: the table of docs/photographs.md.

    python benchmarks/weather.py --data DATA

DATA holds the folders below; those that are not there are left out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from limpid.data.photo_io import READABLE, read_photograph
from limpid.weather import CLEAR, guess, weathers

#: What is shown, what is wrong with it, and where it lies.
SETS = [
    ("real haze", "haze", ["haze_real"]),
    ("made haze (SOTS)", "haze", ["RESIDE/SOTS/indoor/hazy", "RESIDE/SOTS/outdoor/hazy"]),
    ("real sand and dust", "sand", ["sand_real"]),
    ("real rain", "rain", ["rain_real"]),
    ("made rain (Rain100H)", "rain", ["Rain100H/input"]),
    ("real blur", "blur", ["blur_real"]),
    ("made blur (GOPRO)", "blur", ["GOPRO/*/*/blur"]),
    ("GOPRO, sharp", CLEAR, ["GOPRO/*/*/sharp"]),
    ("Kodak24, CBSD68, Urban100", CLEAR, ["Kodak24", "CBSD68", "Urban100"]),
    ("SOTS, without haze", CLEAR, ["RESIDE/SOTS/indoor/gt", "RESIDE/SOTS/outdoor/gt"]),
]


def photographs(data: Path, patterns: list[str]) -> list[Path]:
    """The photographs in folders below `data`."""
    files: list[Path] = []
    for pattern in patterns:
        for folder in sorted(data.glob(pattern)):
            files += sorted(file for file in folder.rglob("*") if file.suffix.lower() in READABLE)
    return files


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    names = [name for name, weather in weathers().items() if weather.order is not None] + [CLEAR]
    print("| photographs | n | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 2))
    for shown, right, patterns in SETS:
        files = photographs(data, patterns)
        if not files:
            continue
        found = Counter(guess(read_photograph(file).pixels).weather for file in files)
        cells = [f"**{found[name]}**" if name == right else str(found[name] or "") for name in names]
        print(f"| {shown} | {len(files)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
