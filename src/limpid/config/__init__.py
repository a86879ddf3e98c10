"""Configuration: composing with Hydra, making what a `_target_` names, the registry of networks."""
