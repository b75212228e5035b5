"""What a command tells the operator when it cannot do what was asked: one line and the next action, never a trace."""

EX_FAILED = 1


class Complaint(Exception):
    """A command stops here. `hint` is one sentence: what to do next."""

    def __init__(self, message: str, hint: str = "", exit_code: int = EX_FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code
