"""The linters of the project, with the settings in setup.cfg, ruff.toml, .sqlfluff and .yamllint."""

LINTERS = {
    "ruff": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "sqlfluff": ["sqlfluff", "lint", "athena"],
    "yamllint": ["yamllint", "--strict", "."],
}
