"""Around DVC's commands and never inside a stage: the check of a machine, the note of the processor that made a lock."""
