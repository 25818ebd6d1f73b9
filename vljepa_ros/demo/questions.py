"""Which questions the demo asks, and when."""

from collections.abc import Sequence
from dataclasses import dataclass

from vljepa_ros.errors import InputError


@dataclass(frozen=True)
class Question:
    """One call of the service `ask`."""

    text: str
    candidates: tuple[str, ...] = ()
    at: float | None = None  # s of the stream; None: when the video is over


_ANYWHERE = (
    Question("What do you see?"),
    Question("What is happening?"),
    Question("Is anything moving?", ("yes", "no")),
)

# The questions fit what is to be seen in the last two seconds before they are asked.
_KNOWN = {
    "tabletop": (
        Question("What just happened?", at=17.4),
        Question("What is the robot holding?", at=30.0),
        Question("How many objects are there?"),
        Question("Is the lamp on?", ("yes", "no")),
        Question("Is the drawer open or closed?"),
    ),
    "bikes": (
        Question("What do you see?"),
        Question("What is happening?"),
        Question("Where is this?", ("in a street", "on a table", "in a kitchen")),
    ),
    "vtest": (
        Question("What do you see?"),
        Question("What is happening?"),
        Question("What is moving?", ("people", "a robot arm", "a ball")),
    ),
}


def questions_for(video: str, asked: Sequence[str] = ()) -> list[Question]:
    """Return the questions for a video, in the order in which they are due.

    Args:
        video: its name without folder and ending.
        asked: the user's own, which take the place of those at the end, each as understood by
            parse_question.

    Raises:
        InputError: when one of the user's questions has no text.
    """
    planned = _KNOWN.get(video, _ANYWHERE)
    if asked:
        during = [question for question in planned if question.at is not None]
        return during + [parse_question(text) for text in asked]
    return sorted(planned, key=lambda question: (question.at is None, question.at or 0.0))


def parse_question(text: str) -> Question:
    """Read "Is the lamp on? | yes | no": a question, then its candidates, if any.

    Raises:
        InputError: when the question itself is empty.
    """
    question, *candidates = (part.strip() for part in text.split("|"))
    if not question:
        raise InputError(f'no question in "{text}": write it first, then "| candidate | ..."')
    return Question(question, tuple(candidate for candidate in candidates if candidate))
