"""Around DVC's commands and never inside a stage: the check of a machine, the note of who made a lock."""
