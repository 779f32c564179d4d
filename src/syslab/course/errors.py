"""The one exception a user of the course is meant to read."""


class CourseError(Exception):
    """Something a person can mend.

    The command line prints it without a traceback and exits with status 2.

    Parameters
    ----------
    message : str
        What is wrong, naming the file, the argument and the value.
    fix : str, optional
        What to do next, as one sentence or one command line.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message, fix)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  {self.fix}" if self.fix else self.message
