"""Invented runners and places. No horse, dog, club or player is meant."""

from __future__ import annotations

import random

_FIRST = """
Amber Ancient Autumn Bold Brave Bright Candle Cedar Clever Copper Distant Early Eastern Elm Fair Falcon
Flint Gentle Glass Golden Granite Hidden Hollow Honest Iron Ivory Jolly Keen Lantern Late Little Lone
Lucky Merry Midnight Misty Noble Northern Old Patient Pearl Plain Proud Quick Quiet Rapid Restless Roaming
Royal Russet Sable Sandy Scarlet Second Secret Silent Silver Simple Slate Solar Stone Sudden Summer Swift
Tall Thistle Timber Upper Velvet Wandering Western Wild Winter Young
"""
_SECOND = """
Anchor Arrow Bay Bell Bridge Brook Cabin Captain Castle Chapel Charm Cloud Comet Corner Crown Dancer Dawn
Echo Emperor Fable Ferry Field Flame Forest Friend Garden Gate Harbour Harvest Hazard Heart Hill Honour
Island Jewel Journey Kestrel Lady Lark Legend Letter Maker Meadow Melody Mill Minstrel Monarch Moon
Orchard Path Pilot Poem Promise Prospect Quarter Rambler Reason Ribbon River Road Runner Sail Signal Song
Spirit Spring Star Storm Story Tide Tower Trail Valley Venture Verse Voyage Willow Wind
"""
COURSES = (
    "Ashdown",
    "Brackley",
    "Calder Vale",
    "Dunmore",
    "Elmswell",
    "Fernhurst",
    "Garsdale",
    "Hexworth",
    "Kelby",
)
TRACKS = ("Ashford Road", "Bromley Lane", "Castle Park", "Dockside", "Eastgate", "Millfield")
_TOWNS = """
Alderton Barford Calverley Denholm Eastwick Fenbury Grantley Harwood Ilford Kirkby Langford Marston
Newbold Oakham Penrith Quorn Radley Selby Thornby Ulverton Walsden Yarwell
"""
CLUBS = ("Town", "City", "United", "Rovers", "Athletic", "Albion", "Wanderers")
_SURNAMES = """
Abara Berglund Costa Dimitrov Eriksen Fontaine Gallo Hofmann Ivanov Jansen Kovac Larsen Moreau Novak
Okafor Petrov Quiroga Romano Silva Tanaka Ueda Varga Weber Yilmaz Zeman
"""
RACES = (
    "5f Hcap",
    "6f Mdn Stks",
    "7f Hcap",
    "1m Hcap",
    "1m2f Stks",
    "2m Hrd",
    "2m4f Hcap Chs",
    "3m Hcap Hrd",
)
DISTANCES = ("270m", "450m", "480m", "500m")
FIRST_WORDS, SECOND_WORDS = _FIRST.split(), _SECOND.split()
TOWNS, SURNAMES = _TOWNS.split(), _SURNAMES.split()


def draw_animals(rng: random.Random, count: int) -> list[str]:
    """`count` different names of horses or dogs."""
    seconds = rng.sample(SECOND_WORDS, count)
    return [f"{first} {second}" for first, second in zip(rng.sample(FIRST_WORDS, count), seconds, strict=True)]


def draw_clubs(rng: random.Random) -> list[str]:
    """Two clubs of different towns."""
    return [f"{town} {rng.choice(CLUBS)}" for town in rng.sample(TOWNS, 2)]


def draw_players(rng: random.Random) -> list[str]:
    """Two players, an initial and a surname each."""
    return [f"{rng.choice('ABCDEFGHIJKLMNOPRSTVY')} {surname}" for surname in rng.sample(SURNAMES, 2)]


def draw_ids(rng: random.Random, count: int) -> list[int]:
    """`count` different selection ids."""
    return rng.sample(range(10_000_000, 79_999_999), count)
