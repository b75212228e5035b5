"""Gates: who they are and how they join, what they are told, and the records they send."""
