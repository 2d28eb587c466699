"""The command line: a file for each command, and the options and checks that several share."""
