"""The pages of an audit and of the codewords of a filter, and an audit's headline as text."""
