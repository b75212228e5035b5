"""A door that has a contact: how long it has been open, and whether that was told. Times are monotonic milliseconds."""


class Door:
    """Shut at first. `held_ms`: open for longer is told, once for each time it is open."""

    def __init__(self, held_ms: int) -> None:
        self._held_ms = held_ms
        self._due_ms: int | None = None
        self._told = False

    def opened(self, now_ms: int) -> None:
        """It is open; said again it is no later."""
        if self._due_ms is None:
            self._due_ms = now_ms + self._held_ms

    def shut(self) -> None:
        """It is shut, or cannot be seen."""
        self._due_ms = None
        self._told = False

    @property
    def next_ms(self) -> int | None:
        """When it will have been open for too long; None where nothing waits for that."""
        return None if self._told else self._due_ms

    def is_held(self, now_ms: int) -> bool:
        """Whether it has now been open for too long and nobody was told."""
        due = self.next_ms
        if due is None or now_ms < due:
            return False
        self._told = True
        return True
