"""The opt-in game (Wang et al. 2022): an obfuscator trained against a deobfuscator."""
