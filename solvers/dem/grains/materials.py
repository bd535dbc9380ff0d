"""What happens where two grains, or a grain and a wall, touch: materials and the law of each pair of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

#: Columns of a row of the pair table.
NORMAL, TANGENT, SHEAR, DAMPING, SHEAR_DAMPING, FRICTION, ROLLING, ROLLING_DAMPING, ADHESION = range(9)
COLUMNS = 9
#: Below this a collision takes all the energy; the damping of Hertz's law would be infinite at zero.
LEAST_RESTITUTION = 0.01


@dataclass(frozen=True, kw_only=True)
class Material:
    """An elastic solid: density [kg/m3], Young's modulus [Pa], Poisson's ratio [-]."""

    name: str
    density: float
    youngs_modulus: float
    poissons_ratio: float

    @property
    def shear_modulus(self) -> float:
        return self.youngs_modulus / (2 * (1 + self.poissons_ratio))


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What two materials do to each other.

    restitution : speed after a normal collision over the speed before [-], 0 to 1
    friction, rolling : coefficients of sliding and of rolling friction [-]
    rolling_damping : damping ratio of the rolling spring [-]
    surface_energy : work of adhesion of the pair, per area of contact [J/m2]
    stiffness : normal spring of the linear model [N/m]; not used by Hertz's
    """

    restitution: float
    friction: float
    rolling: float = 0.0
    rolling_damping: float = 0.3
    surface_energy: float = 0.0
    stiffness: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Laws:
    """Materials and their pairs. A pair is found in either order of its names.

    Raises ValueError where a pair is missing or a number can have no meaning.
    """

    materials: Sequence[Material]
    contacts: Mapping[tuple[str, str], Contact]
    model: Literal["hertz", "linear"] = "hertz"
    number: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", {m.name: i for i, m in enumerate(self.materials)})
        for m in self.materials:
            if not (m.density > 0 and m.youngs_modulus > 0 and -1 < m.poissons_ratio <= 0.5):
                raise ValueError(f"{m}: density and stiffness must be positive, Poisson's ratio at most 0.5")
            for o in self.materials:
                c = self.contact(m.name, o.name)
                if not 0 <= c.restitution <= 1:
                    raise ValueError(f"{m.name} on {o.name}: restitution {c.restitution:g} is not between 0 and 1")
                if min(c.friction, c.rolling, c.rolling_damping, c.surface_energy) < 0:
                    raise ValueError(f"{m.name} on {o.name}: a coefficient below zero in {c}")
                if self.model == "linear" and not c.stiffness > 0:
                    raise ValueError(f"{m.name} on {o.name}: the linear model needs a stiffness above zero")

    def contact(self, one: str, other: str) -> Contact:
        """The contact of two materials. Raises ValueError if it is not given."""
        found = self.contacts.get((one, other)) or self.contacts.get((other, one))
        if found is None:
            raise ValueError(f"no contact is given for {one} on {other}")
        return found

    @property
    def rolls(self) -> bool:
        """Whether any pair has rolling friction."""
        return any(c.rolling > 0 for c in self.contacts.values())

    @property
    def sticks(self) -> bool:
        """Whether any pair is cohesive."""
        return any(c.surface_energy > 0 for c in self.contacts.values())

    def effective(self, one: int, other: int) -> tuple[float, float]:
        """E* and G* of two materials [Pa]."""
        a, b = self.materials[one], self.materials[other]
        young = 1 / ((1 - a.poissons_ratio**2) / a.youngs_modulus + (1 - b.poissons_ratio**2) / b.youngs_modulus)
        shear = 1 / ((2 - a.poissons_ratio) / a.shear_modulus + (2 - b.poissons_ratio) / b.shear_modulus)
        return young, shear

    def table(self) -> npt.NDArray[np.float64]:
        """(m * m, COLUMNS) coefficients as the kernels use them; the row of i on j is i * m + j.

        Hertz: NORMAL 4/3 E*, TANGENT 2 E*, SHEAR 8 G*, so that for a contact of radius a the normal spring is
        NORMAL * a, its tangent TANGENT * a and the tangential spring SHEAR * a. Linear: the springs themselves.
        DAMPING multiplies sqrt(tangent * mass), SHEAR_DAMPING the same root for the tangential dashpot.
        ADHESION sqrt(8 pi w E*): the force of JKR is ADHESION * a^(3/2).
        """
        m = len(self.materials)
        table = np.zeros((m * m, COLUMNS))
        for i in range(m):
            for j in range(m):
                c = self.contact(self.materials[i].name, self.materials[j].name)
                young, shear = self.effective(i, j)
                row = table[i * m + j]
                if self.model == "hertz":
                    row[NORMAL], row[TANGENT], row[SHEAR] = 4 / 3 * young, 2 * young, 8 * shear
                    row[DAMPING] = hertz_damping(c.restitution)
                else:
                    row[NORMAL] = row[TANGENT] = c.stiffness
                    row[SHEAR] = c.stiffness * 4 * shear / young  # Mindlin's ratio of the two springs
                    row[DAMPING] = 2 * linear_damping(c.restitution)
                row[SHEAR_DAMPING] = row[DAMPING] * math.sqrt(row[SHEAR] / row[TANGENT])
                row[FRICTION], row[ROLLING], row[ROLLING_DAMPING] = c.friction, c.rolling, c.rolling_damping
                row[ADHESION] = math.sqrt(8 * math.pi * c.surface_energy * young)
        return table


def hertz_damping(restitution: float) -> float:
    """Factor of sqrt(tangent stiffness * mass) in the dashpot that gives this restitution without ever pulling.

    Polynomial of C. Thornton, S. J. Cummins, P. W. Cleary, Powder Technol. 233 (2013) 30; near 1, where it is not
    good, the closed form of Y. Tsuji, T. Tanaka, T. Ishida, Powder Technol. 71 (1992) 239: what little the dashpot
    would pull there does not count.
    """
    e = max(restitution, LEAST_RESTITUTION)
    if e > 0.95:
        return -2 * math.sqrt(5 / 6) * math.log(min(e, 1.0)) / math.hypot(math.log(min(e, 1.0)), math.pi)
    h = (-6.918798, -16.41105, 146.8049, -796.4559, 2928.711, -7206.864, 11494.29, -11342.18, 6276.757, -1489.915)
    power = sum(c * e ** (k + 1) for k, c in enumerate(h))
    return 2 * math.sqrt(1 / (1 - (1 + e) ** 2 * math.exp(power)) - 1)


def linear_damping(restitution: float) -> float:
    """Damping ratio of a linear spring and dashpot that never pull.

    T. Schwager, T. Poeschel, Granular Matter 9 (2007) 465.
    """
    e = max(restitution, LEAST_RESTITUTION)
    if e >= 1:
        return 0.0

    def realised(z: float) -> float:
        if z < 1:
            s = math.sqrt(1 - z * z)
            return math.exp(-z / s * math.atan2(2 * z * s, 2 * z * z - 1))
        s = math.sqrt(z * z - 1)
        return math.exp(-z / s * math.log((z + s) / (z - s))) if s else math.exp(-2)

    return float(brentq(lambda z: realised(z) - e, 0, 50))
