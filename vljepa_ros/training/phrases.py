"""The words of the training texts: several wordings for every query, event and answer."""

from __future__ import annotations

CAPTION_QUERIES = (
    "Describe the scene.",
    "Describe this video in one sentence.",
    "What do you see?",
    "Describe what you see.",
    "Give a short description of the video.",
    "Caption this video.",
)
EVENT_QUERIES = (
    "What is happening?",
    "What happened?",
    "What just happened?",
    "What is going on?",
    "What changed?",
    "Which event do you see?",
)
WHAT_QUERIES = (
    "What is shown?",
    "What object is this?",
    "What is this?",
    "Which object do you see?",
    "What can be seen here?",
)

# {a} and {the} are the object with its article, {onto} what it is stacked on, {side} left or
# right, {in_view} "on the table" or "in view".
EVENTS: dict[str, tuple[str, ...]] = {
    "appear": (
        "{a} appears {in_view}",
        "{a} is put {in_view}",
        "{a} has appeared",
        "now there is {a} {in_view}",
        "somebody adds {a}",
    ),
    "remove": (
        "{the} is removed",
        "{the} is taken away",
        "{the} disappears",
        "somebody takes {the} away",
        "{the} is gone",
    ),
    "move": (
        "{the} moves to the {side}",
        "{the} slides to the {side}",
        "{the} is moving {side}",
        "{the} shifts {side}",
    ),
    "push": (
        "the robot arm pushes {the} to the {side}",
        "the arm pushes {the} {side}",
        "{the} is pushed to the {side} by the robot",
        "the robot is pushing {the} to the {side}",
    ),
    "stack": (
        "{the} is put on top of {onto}",
        "{the} is stacked on {onto}",
        "{the} is set on {onto}",
        "{the} now stands on {onto}",
    ),
    "drawer_open": (
        "the drawer opens",
        "the drawer is opened",
        "somebody opens the drawer",
        "the drawer slides out",
    ),
    "drawer_close": (
        "the drawer closes",
        "the drawer is closed",
        "somebody closes the drawer",
        "the drawer slides in",
    ),
    "lid_open": (
        "the lid of the box opens",
        "the box is opened",
        "somebody lifts the lid",
        "the lid goes up",
    ),
    "lid_close": (
        "the lid of the box closes",
        "the box is closed",
        "somebody shuts the lid",
        "the lid goes down",
    ),
    "lamp_on": (
        "the lamp goes on",
        "the lamp is switched on",
        "somebody turns on the lamp",
        "the lamp lights up",
        "it becomes bright",
    ),
    "lamp_off": (
        "the lamp goes off",
        "the lamp is switched off",
        "somebody turns off the lamp",
        "the lamp goes out",
        "it becomes dark",
    ),
    "approach": (
        "the robot arm reaches for {the}",
        "the arm moves towards {the}",
        "the robot approaches {the}",
        "the arm comes close to {the}",
    ),
    "grasp": (
        "the gripper grasps {the}",
        "the robot grasps {the}",
        "the robot arm takes hold of {the}",
        "the fingers close around {the}",
    ),
    "lift": (
        "the robot arm lifts {the}",
        "the robot lifts up {the}",
        "{the} is lifted by the robot arm",
        "the arm holds up {the}",
    ),
    "place": (
        "the robot arm puts {the} down",
        "the robot puts {the} back down",
        "{the} is put down by the arm",
        "the robot arm sets {the} on the table",
    ),
}
NO_EVENT = (
    "nothing is happening",
    "nothing happens",
    "nothing changes",
    "all is quiet",
    "there is no change",
    "the scene stays the same",
)

# {things} is a list of objects, {in_view} as above, {is_are} fits their number.
STATES = (
    "there {is_are} {things} {in_view}",
    "{things} {is_are} {in_view}",
    "I see {things} {in_view}",
    "the scene shows {things}",
    "{in_view} {is_are} {things}",
    "{things} can be seen {in_view}",
)
EMPTY = {
    "tabletop": ("the table is empty", "there is nothing on the table", "an empty table"),
    "composites": ("there is nothing in view", "an empty scene", "no object is in view"),
}
IN_VIEW = {"tabletop": "on the table", "composites": "in view"}
LAMP_STATES = {
    "on": ("the lamp is on", "the lamp shines", "the lamp gives light", "it is bright"),
    "off": ("the lamp is off", "the lamp is dark", "the lamp gives no light", "it is dark"),
}
FURNITURE_STATES = {
    "drawer": {
        "open": ("the drawer is open", "the drawer stands open", "the drawer is pulled out"),
        "closed": ("the drawer is closed", "the drawer is not open", "the drawer is pushed in"),
    },
    "box": {
        "open": ("the box is open", "the box stands open", "the box is uncovered"),
        "closed": ("the box is closed", "the box is not open", "the box is covered by its lid"),
    },
}
HELD = ("the {name}", "it holds the {name}", "the {name} is between the fingers")
NOTHING_HELD = ("nothing", "it holds nothing", "there is nothing between the fingers")

YES = ("yes", "yes, it is", "that is so")
NO = ("no", "no, it is not", "that is not so")
NUMBERS = ("none", "one", "two", "three", "four", "five")
PLACES = {
    "left": ("on the left", "it is on the left", "at the left side"),
    "middle": ("in the middle", "it is in the middle", "at the centre"),
    "right": ("on the right", "it is on the right", "at the right side"),
}
COLORS = (
    "red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "white", "black",
)  # fmt: skip
SHAPES = ("mug", "ball", "cube", "can", "bottle", "book", "plate")  # of the tabletop
