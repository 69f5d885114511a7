"""Names, nouns, facts and word groups the seed questions are written from."""

from __future__ import annotations

__all__ = (
    "CAPITALS",
    "CREATURES",
    "FEMALE",
    "GROUPS",
    "ITEMS",
    "KEYWORDS",
    "LISTABLE",
    "MALE",
    "NAMES",
    "NEAR_GROUPS",
    "OPENINGS",
    "PLACES",
    "SYMBOLS",
    "TOPICS",
    "WEEKDAYS",
)

FEMALE = (
    "Ana",
    "Bea",
    "Clara",
    "Dina",
    "Emma",
    "Farah",
    "Greta",
    "Hana",
    "Ines",
    "Julia",
    "Kira",
    "Lena",
    "Mina",
    "Nora",
)
MALE = (
    "Adam",
    "Boris",
    "Carlos",
    "David",
    "Emil",
    "Felix",
    "Georg",
    "Hugo",
    "Ivan",
    "Jonas",
    "Karim",
    "Leo",
    "Marco",
    "Noah",
)
NAMES = FEMALE + MALE

ITEMS = (
    "apples",
    "books",
    "buttons",
    "candles",
    "coins",
    "eggs",
    "marbles",
    "pencils",
    "postcards",
    "shells",
    "stamps",
    "tickets",
)
PLACES = (
    "the bakery",
    "the harbour",
    "the library",
    "the market",
    "the museum",
    "the school",
    "the stadium",
    "the station",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

CREATURES = (
    "blims", "crovels", "dranks", "fespers", "glints", "hobbles", "jurfs", "klonds", "lumpets", "mizzens", "norps",
    "plovins", "quindles", "razzims", "snerls", "tofts", "vandels", "wemps", "yorbs", "zindels",
)  # fmt: skip
"""Made-up plural nouns, so that nothing but logic decides."""

TOPICS = (
    "autumn leaves", "a bicycle", "bread", "a busy train", "camping", "a cat", "the city at night", "coffee",
    "a football match",
    "a garden", "a lighthouse", "a long walk", "morning rain", "mountains", "an old clock", "the ocean", "a piano",
    "a rainy day",
    "reading", "a river", "school", "snow", "a strong wind", "swimming", "a telephone", "the moon", "a thunderstorm",
    "tomatoes",
)  # fmt: skip

KEYWORDS = (
    "blue", "bridge", "careful", "cloud", "early", "friend", "green", "happy", "journey", "light", "morning", "music",
    "never", "open", "paper", "quiet", "river", "simple", "stone", "summer", "table", "window", "winter", "yellow",
)  # fmt: skip

OPENINGS = (
    "As far as I know", "Believe it or not", "Every single day", "From my window", "Here is a thought", "In my opinion",
    "Last summer", "Long ago", "Most people agree", "On a quiet evening", "Once in a while", "Without any doubt",
)  # fmt: skip

LISTABLE = (
    "animals", "birds", "cities", "colours", "countries", "drinks", "flowers", "fruits", "girls' names", "jobs",
    "kitchen tools", "musical instruments", "school subjects", "sports", "trees", "vegetables",
)  # fmt: skip

GROUPS: dict[str, tuple[str, ...]] = {
    "fruit": ("apple", "banana", "cherry", "grape", "mango", "peach", "pear", "plum"),
    "animal": ("cow", "dog", "goat", "horse", "lion", "pig", "sheep", "tiger"),
    "tool": ("chisel", "drill", "hammer", "pliers", "saw", "screwdriver", "spanner", "wrench"),
    "clothing": ("coat", "dress", "jacket", "scarf", "shirt", "skirt", "socks", "trousers"),
    "vehicle": ("bus", "car", "lorry", "motorbike", "taxi", "train", "tram", "van"),
    "furniture": ("armchair", "bench", "bookcase", "chair", "cupboard", "desk", "sofa", "wardrobe"),
    "body part": ("ankle", "ear", "elbow", "finger", "knee", "neck", "nose", "shoulder"),
    "colour": ("black", "blue", "brown", "green", "pink", "purple", "red", "yellow"),
}
"""Groups far from each other."""

NEAR_GROUPS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("eagle", "owl", "robin", "sparrow", "swan"), ("bat", "butterfly", "bee")),
    (("cod", "herring", "salmon", "trout", "tuna"), ("dolphin", "whale", "seal")),
    (("cello", "guitar", "harp", "viola", "violin"), ("flute", "trumpet", "clarinet")),
    (("copper", "gold", "iron", "silver", "zinc"), ("oxygen", "sulphur", "helium")),
    (("Jupiter", "Mars", "Neptune", "Saturn", "Venus"), ("the Moon", "the Sun", "Titan")),
    (("4", "16", "25", "36", "81"), ("18", "40", "75")),
    (("2", "7", "13", "19", "29"), ("9", "15", "21")),
    (("circle", "hexagon", "pentagon", "square", "triangle"), ("cube", "sphere", "pyramid")),
    (("Brazil", "Canada", "Egypt", "Japan", "Norway"), ("Africa", "Berlin", "Asia")),
    (("ant", "beetle", "fly", "mosquito", "wasp"), ("spider", "worm", "scorpion")),
    (("centimetre", "inch", "kilometre", "metre", "mile"), ("litre", "kilogram", "hour")),
    (("ran", "sang", "went", "wrote", "spoke"), ("walk", "jump", "think")),
    (("Atlantic", "Arctic", "Indian", "Pacific", "Southern"), ("Sahara", "Danube", "Alps")),
    (("carrot", "radish", "turnip", "beetroot", "parsnip"), ("lettuce", "spinach", "cabbage")),
)
"""Members of one group, and things that only look as if they belonged to it."""

CAPITALS: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Germany", "Berlin"), ("Japan", "Tokyo"),
        ("Russia", "Moscow"),
        ("Egypt", "Cairo"), ("Greece", "Athens"), ("Portugal", "Lisbon"), ("Ireland", "Dublin"), ("Cuba", "Havana"),
        ("China", "Beijing"),
    ),
    (
        ("Norway", "Oslo"), ("Poland", "Warsaw"), ("Hungary", "Budapest"), ("Finland", "Helsinki"),
        ("Kenya", "Nairobi"), ("Peru", "Lima"),
        ("Canada", "Ottawa"), ("Denmark", "Copenhagen"), ("Thailand", "Bangkok"), ("Chile", "Santiago"),
        ("Iran", "Tehran"), ("Vietnam", "Hanoi"),
    ),
    (
        ("Mongolia", "Ulaanbaatar"), ("Zambia", "Lusaka"), ("Latvia", "Riga"), ("Slovenia", "Ljubljana"),
        ("Nepal", "Kathmandu"),
        ("Uruguay", "Montevideo"), ("Ghana", "Accra"), ("Bulgaria", "Sofia"), ("Oman", "Muscat"), ("Laos", "Vientiane"),
        ("Senegal", "Dakar"), ("Fiji", "Suva"),
    ),
)  # fmt: skip
"""(country, capital), from well known to less known."""

SYMBOLS: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("oxygen", "O"),
        ("hydrogen", "H"),
        ("carbon", "C"),
        ("nitrogen", "N"),
        ("calcium", "Ca"),
        ("helium", "He"),
        ("neon", "Ne"),
        ("lithium", "Li"),
        ("silicon", "Si"),
    ),
    (
        ("sodium", "Na"),
        ("iron", "Fe"),
        ("gold", "Au"),
        ("silver", "Ag"),
        ("copper", "Cu"),
        ("zinc", "Zn"),
        ("lead", "Pb"),
    ),
    (
        ("tin", "Sn"),
        ("potassium", "K"),
        ("mercury", "Hg"),
        ("tungsten", "W"),
        ("antimony", "Sb"),
        ("manganese", "Mn"),
        ("strontium", "Sr"),
    ),
)
"""(chemical element, symbol), from regular to irregular."""
