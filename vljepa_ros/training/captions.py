"""Names of cut-outs: from the stamps' one-line English captions, by hand where needed."""

import re
from pathlib import Path
from typing import NamedTuple

from vljepa_ros.training.phrases import COLORS

# Letters, flags and drawings; and gravestones and weapons, which are no everyday things.
SKIPPED_FOLDERS = (
    *("symbols", "cartoon", "flags", "roadsigns", "hats", "military", "naturalforces"),
    *("body_parts", "easter", "halloween", "hanukkah", "newyears"),
)

# Found on contact sheets: drawings that measure like photographs, and pictures that show
# something else than their caption names.
SKIPPED = frozenset(
    {
        *("animals/insects/fly", "clothes/button", "clothes/t_scarf"),
        *("household/arttools/highlighter", "seasonal/christmas/santahat"),
        *("people/fireman200b", "plants/eggplant", "plants/flowers/appooppanthady"),
        *("plants/lettuce_bolted", "plants/trees/rambutan", "seasonal/christmas/Santa"),
        *(
            "seasonal/christmas/bow",
            "seasonal/christmas/stocking",
            "seasonal/christmas/lamp",
        ),
        *("space/moon/moon_crescent", "space/planets/0_sun", "space/planets/1_mercury"),
        *("sports/rugby_goal_posts", "vehicles/emergency/sedan_police"),
        "seasonal/christmas/xmas_tp_bulb",
    }
)

# Captions that are sentences, proper names, or name a breed where people say the kind.
NAMES = {
    "animals/birds/little-penguin": "penguin",
    "animals/birds/magellanic_penguin": "penguin",
    "animals/birds/rainbow-lorikeet": "lorikeet",
    "animals/birds/silver-gull": "seagull",
    "animals/fish/bluegroper": "blue groper",
    "animals/mammals/bears/toys/edward_bear": "teddy bear",
    "animals/mammals/bovines/gnu-baby": "gnu calf",
    "animals/mammals/bovines/gnu-baby-stand": "gnu calf",
    "animals/mammals/bovines/gnu-stand": "gnu",
    "animals/mammals/bovines/mountaingoat": "mountain goat",
    "animals/mammals/bovines/sheep_lamb": "lamb",
    "animals/mammals/cats/tiger_sumatran": "tiger",
    "animals/mammals/pig_golden": "pig",
    "animals/mammals/pig_golden2": "pig",
    "animals/mammals/rhino_black": "rhino",
    "animals/mammals/rodents/rabbit-2": "rabbit",
    "animals/marsupials/kangaroo": "kangaroo",
    "clothes/clothespin_old": "clothespin",
    "food/fruit/apple_fuji": "apple",
    "food/fruit/apple_granny_smith": "green apple",
    "food/fruit/apple_sierra_beauty": "apple",
    "food/fruit/avocado": "avocado",
    "food/fruit/cherimoya": "cherimoya",
    "food/fruit/pear": "pear",
    "food/vegetables/broccoli": "head of broccoli",
    "food/vegetables/corn": "yellow corn cob",
    "food/vegetables/redlettuce": "lettuce",
    "food/vegetables/lettuce": "lettuce",
    "food/vegetables/tomato": "red tomato",
    "household/arttools/scissors_small_closed": "pair of scissors",
    "household/arttools/scissors_small_open": "pair of scissors",
    "household/toilet": "toilet",
    "household/tools/measuring_tape": "measuring tape",
    "people/toys/grannysmith": "rag doll",
    "plants/flowers/anemone_red": "red anemone",
    "plants/flowers/plastic/chuvanna_plastic_poo": "red flower",
    "plants/flowers/whitestar-petunia": "petunia",
    "plants/lavender": "lavender plant",
    "plants/mushrooms/cep": "mushroom",
    "plants/mushrooms/cep-1": "mushroom",
    "plants/mushrooms/cep-2": "mushroom",
    "plants/trees/holly_leaves": "sprig of holly",
    "plants/trees/tree336": "tree",
    "seasonal/christmas/Roast_turkey": "roast turkey",
    "space/apollo_lander": "lunar lander",
    "space/moon/moon_3qt": "moon",
    "space/moon/moon_full": "moon",
    "space/planets/2_venus": "planet",
    "space/planets/3_earth": "planet",
    "space/planets/4_mars": "planet",
    "space/planets/5_jupiter": "planet",
    "space/planets/6_saturn": "planet",
    "space/planets/7_uranus": "blue planet",
    "space/planets/8_neptune": "blue planet",
    "space/planets/9_pluto": "planet",
    "space/voyager2": "space probe",
    "town/uk_post_box": "red post box",
    "town/usps_mailbox": "blue mailbox",
    "vehicles/auto/beetle": "red car",
    "vehicles/auto/sedan": "blue car",
    "vehicles/ship/chineseJunk": "sailing ship",
    "vehicles/ship/walnutBoat": "sailboat",
}

_ARTICLE = re.compile(r"^(an|a|the)\s+", re.IGNORECASE)
# A noun phrase ends where a relative clause, a place, a purpose or a remark begins.
_PHRASE_END = re.compile(
    r"[.!?,;:(—–]|\s(?:is|in|at|from|with|used|made|making|covered|inside|hatched|lets|resembles)\s"
)
_DROPPED = frozenset(
    {
        *(
            "very",
            "small",
            "little",
            "large",
            "big",
            "old",
            "old-fashioned",
            "modern",
            "ripe",
        ),
        *(
            "colorful",
            "happy",
            "poisonous",
            "sleeping",
            "sitting",
            "male",
            "female",
            "lit",
        ),
        *("european", "silver"),
    }
)
_MOST_WORDS = 4


class Name(NamedTuple):
    """What a cut-out shows: a lower-case noun phrase without its article, and its color."""

    noun: str
    color: str | None


def split_color(phrase: str) -> Name:
    """A leading color word apart from the noun: "red apple" -> ("apple", "red")."""
    first, _, rest = phrase.partition(" ")
    return Name(rest, first) if rest and first in COLORS else Name(phrase, None)


def parse_caption(caption: str) -> Name | None:
    """The noun phrase that a caption begins with; None where it does not begin with one.

    "A strawberry." -> ("strawberry", None); "A blue fedora." -> ("fedora", "blue");
    "Boom, boom!" -> None. A single word needs no article ("Hibiscus").
    """
    text = re.sub("[“”\"‘]|(?<!\\w)'|'(?!\\w)", "", caption.replace("’", "'")).strip()
    phrase = _PHRASE_END.split(text, maxsplit=1)[0].strip()
    article = _ARTICLE.match(phrase)
    if article:
        phrase = phrase[article.end() :]
    elif " " in phrase or "!" in text:
        return None
    words = [word for word in phrase.lower().split() if word not in _DROPPED]
    if not 1 <= len(words) <= _MOST_WORDS or not all(word[0].isalpha() for word in words):
        return None
    return split_color(" ".join(words))


def name_stamp(stamp: str, text_file: Path) -> Name | None:
    """Name of the stamp `stamp` ("food/fruit/kiwi"), whose captions `text_file` holds.

    The file's first line is English. None for what shows no everyday thing or has no name.
    """
    if stamp in SKIPPED or set(SKIPPED_FOLDERS) & set(stamp.split("/")):
        return None
    if stamp in NAMES:
        return split_color(NAMES[stamp])
    if not text_file.is_file():
        return None
    lines = text_file.read_text(encoding="utf-8", errors="replace").splitlines()
    return parse_caption(lines[0]) if lines else None
