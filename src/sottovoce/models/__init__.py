"""The networks that play: targets, obfuscators, deobfuscators, and the folders they are kept in."""
