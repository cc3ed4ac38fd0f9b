"""The measured results of the project, each made by one command."""
