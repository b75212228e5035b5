"""The live board: who is inside, who came when, who was refused and why, as the merged logs say."""
