"""Taking hold of the emulator."""
