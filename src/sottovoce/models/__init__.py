"""The networks of all methods: targets, obfuscators, deobfuscators, and the folders they are kept in."""
