"""What a large registry holds: how many layers an image has and how large they are, tags, bases, names.

Rules of this file: distributions only, drawn from a generator of random numbers that is handed in; no row, no
store, no clock. What is published and what is assumed:

Published. Zhao et al., "Large-Scale Analysis of the Docker Hub Dataset" (IEEE CLUSTER 2019): 457,627
repositories with 1,792,609 unique layers; half of the images have fewer than 8 layers, nine in ten fewer
than 18, the most 120; half of the layers are smaller than 4 MB, nine in ten smaller than 63 MB. The data of
source{d} on 1.46 million images (2019): 11 KB a config and 5.8 KB a manifest on average. A repository with
8,225 tags is real (calico/node, regclient issue 272).

Assumed, because nobody has published it: that both are lognormal; tags a repository; which share of the
repositories is empty, an index or a chart; how many tags name one artifact; how many images are signed; which
images build on which bases, and that the popularity of bases falls as 1/rank. It is chosen so that half of
the images stand on a shared base, the most used base layer is in tens of thousands of repositories, the empty
layer is in about half of the images, and most layers are used once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

KB, MB, GB = 1_000, 1_000_000, 1_000_000_000

# Standard deviations between the median and the 90th percentile of a normal distribution.
_P90 = 1.2816


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Whole numbers of which half are below `median` and nine in ten below `p90`, within bounds."""

    median: float
    p90: float
    low: int
    high: int
    mu: float = field(init=False)
    sigma: float = field(init=False)

    def __post_init__(self) -> None:
        """Find the parameters of the distribution."""
        object.__setattr__(self, "mu", math.log(self.median))
        object.__setattr__(self, "sigma", math.log(self.p90 / self.median) / _P90)

    def draw(self, random: Random) -> int:
        """Return one number."""
        return min(self.high, max(self.low, round(math.exp(random.gauss(self.mu, self.sigma)))))


# "Fewer than 8" is the median of 7.5: a number of layers is whole.
LAYERS_PER_IMAGE = Lognormal(7.5, 17.5, 1, 120)
LAYER_BYTES = Lognormal(4 * MB, 63 * MB, 32, 10 * GB)
CONFIG_BYTES = Lognormal(8 * KB, 20 * KB, 1 * KB, 1 * MB)

# Of a manifest: what it has beside its layers, and what each of those takes.
MANIFEST_BYTES, MANIFEST_BYTES_PER_LAYER = 420, 160
INDEX_BYTES, INDEX_BYTES_PER_CHILD = 120, 260

# Shares of all repositories, or of what is named.
EMPTY_REPOSITORIES = 0.26
INDEX_REPOSITORIES = 0.006
CHART_REPOSITORIES = 0.01
MOVED_TAGS = 0.02  # of the repositories: a tag of theirs left an artifact behind
SIGNED_IMAGES = 0.005
IMAGES_WITH_BASE = 0.5
IMAGES_WITH_EMPTY_LAYER = 0.5
IMAGES_LIKE_THEIR_SIBLING = 0.55  # they begin as the image before them in the same namespace
OCI_IMAGES = 0.25
OTHER_ARCHITECTURES = 0.06

# Least and most bytes of small layers.
CHART_BYTES = (2 * KB, 200 * KB)
ATTESTATION_BYTES = (1 * KB, 50 * KB)
SBOM_BYTES = (20 * KB, 2 * MB)
SIGNATURE_BYTES = 250

# Tags of a repository: P(at least t) = t^-2, but for one in 40,000, which have from 1,000 to 10,000.
TAGS_EXPONENT = 2.0
FAT_REPOSITORIES = 1 / 40_000
FAT_TAGS_LEAST, FAT_TAGS_MOST = 1_000, 10_000
LATEST = "latest"
# latest, 1, 1.4 and 1.4.2 are one artifact.
TAGS_PER_ARTIFACT = 4

# Operating systems; runtimes on them; frameworks on those. Each with the layers that it adds.
BASE_LEVELS = ((150, (1, 5)), (600, (2, 6)), (2_000, (1, 5)))
BASE_LAYER_BYTES = Lognormal(12 * MB, 60 * MB, 100, 400 * MB)

REPOSITORIES_PER_NAMESPACE = 3
NAMES_WITH_TWO_SLASHES = 0.08
NAMES_WITHOUT_SLASH = 0.002

PLATFORMS: tuple[tuple[str, str, str | None], ...] = (
    ("linux", "amd64", None),
    ("linux", "arm64", "v8"),
    ("linux", "arm", "v7"),
    ("linux", "ppc64le", None),
    ("linux", "s390x", None),
    ("linux", "386", None),
    ("linux", "arm", "v6"),
    ("linux", "riscv64", None),
)


def draw_tag_count(random: Random, repositories: int) -> int:
    """Return how many tags a repository has that is not empty; in small registries not too many."""
    if random.random() < max(FAT_REPOSITORIES, 1 / repositories):
        least, most = math.log(FAT_TAGS_LEAST), math.log(FAT_TAGS_MOST)
        return min(round(math.exp(random.uniform(least, most))), max(20, repositories // 10))
    return min(FAT_TAGS_LEAST, int((1.0 - random.random()) ** (-1 / TAGS_EXPONENT)))


def draw_weighted(random: Random, sums: Sequence[float]) -> int:
    """Return an index, by the running sums of the weights."""
    return random.choices(range(len(sums)), cum_weights=sums)[0]


def falling_weights(count: int) -> list[float]:
    """Return the running sums of 1, 1/2, 1/3, …"""
    return list(accumulate(1 / rank for rank in range(1, count + 1)))


class Bases:
    """The bases images stand on: each the numbers of the shared layers it has, lowest first."""

    def __init__(self, random: Random) -> None:
        self.layer_count = 0
        self._levels: list[tuple[list[tuple[int, ...]], list[float]]] = []
        below: list[tuple[int, ...]] = [()]
        for count, (least, most) in BASE_LEVELS:
            weights = falling_weights(len(below))
            level = []
            for _ in range(count):
                added = random.randint(least, most)
                layers = range(self.layer_count, self.layer_count + added)
                level.append((*below[draw_weighted(random, weights)], *layers))
                self.layer_count += added
            self._levels.append((level, falling_weights(count)))
            below = level

    def draw(self, random: Random) -> tuple[int, ...]:
        """Return a base: from each level as often, and there the first one most."""
        level, weights = random.choice(self._levels)
        return level[draw_weighted(random, weights)]


_SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"]
_SUFFIXES = ("api", "app", "base", "cli", "db", "web", "server", "worker", "proxy", "test")


def _draw_word(random: Random) -> str:
    return "".join(random.choices(_SYLLABLES, k=random.randint(2, 4)))


def draw_names(random: Random, count: int) -> list[str]:
    """Return that many repository names, in the order in which a catalog lists them."""
    names: set[str] = set()
    namespaces = [
        f"{_draw_word(random)}{random.randint(0, 9_999)}"
        for _ in range(max(1, count // REPOSITORIES_PER_NAMESPACE))
    ]
    while len(names) < count:
        name = f"{_draw_word(random)}-{random.choice(_SUFFIXES)}"
        place = random.random()
        if place < NAMES_WITHOUT_SLASH:
            names.add(name)
            continue
        if place < NAMES_WITH_TWO_SLASHES:
            name = f"{_draw_word(random)}/{name}"
        # The square makes a few namespaces large and most small.
        names.add(f"{namespaces[int(len(namespaces) * random.random() ** 2)]}/{name}")
    return sorted(names)


def tag_names(count: int) -> Iterator[str]:
    """Give the names of a repository's tags, as releases would make them, `latest` last."""
    for number in range(count - 1):
        major, rest = divmod(number, 100)
        minor, patch = divmod(rest, 10)
        yield f"{major}.{minor}.{patch}"
    yield LATEST
