"""The fixed words of pictures and reports in each language, and numbers as people read them there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hub.units import UNITS, show

#: text id -> language -> words. `{}` are filled by :meth:`Language.say`.
WORDS: dict[str, dict[str, str]] = {
    "report": {"en": "Simulation report", "it": "Rapporto di simulazione"},
    "question": {"en": "Question", "it": "Domanda"},
    "answer": {"en": "Answer", "it": "Risposta"},
    "yes": {"en": "Yes", "it": "Sì"},
    "no": {"en": "No", "it": "No"},
    "unclear": {"en": "Undecided", "it": "Incerto"},
    "none": {"en": "Result", "it": "Risultato"},
    "quantities": {"en": "Key figures", "it": "Grandezze principali"},
    "further": {"en": "Further figures", "it": "Altre grandezze"},
    "quantity": {"en": "Quantity", "it": "Grandezza"},
    "value": {"en": "Value", "it": "Valore"},
    "how": {"en": "How the error was estimated", "it": "Come è stimato l'errore"},
    "no_bar": {"en": "no error bar", "it": "senza barra d'errore"},
    "method": {"en": "Method", "it": "Metodo"},
    "at": {"en": "at", "it": "in"},
    "pictures": {"en": "Results in pictures", "it": "Risultati in figure"},
    "geometry": {"en": "Geometry", "it": "Geometria"},
    "file": {"en": "File", "it": "File"},
    "size": {"en": "Size", "it": "Dimensioni"},
    "remark": {"en": "Remark", "it": "Nota"},
    "bodies": {"en": "Bodies", "it": "Corpi"},
    "body": {"en": "Body", "it": "Corpo"},
    "volume": {"en": "Volume", "it": "Volume"},
    "mass": {"en": "Mass", "it": "Massa"},
    "faces": {"en": "Faces", "it": "Facce"},
    "setup": {"en": "Set-up", "it": "Impostazione"},
    "solver": {"en": "Method", "it": "Metodo"},
    "material": {"en": "Material", "it": "Materiale"},
    "materials": {"en": "Materials", "it": "Materiali"},
    "all": {"en": "whole part", "it": "tutto il pezzo"},
    "source": {"en": "Source", "it": "Fonte"},
    "conditions": {"en": "What holds and loads it", "it": "Vincoli e carichi"},
    "condition": {"en": "Condition", "it": "Condizione"},
    "where": {"en": "Where", "it": "Dove"},
    "parameters": {"en": "Parameters", "it": "Parametri"},
    "mesh": {"en": "Mesh", "it": "Mesh"},
    "fineness": {"en": "Fineness", "it": "Finezza"},
    "coarse": {"en": "coarse", "it": "grossolana"},
    "normal": {"en": "normal", "it": "normale"},
    "fine": {"en": "fine", "it": "fine"},
    "order": {"en": "Order of the elements", "it": "Ordine degli elementi"},
    "unknowns": {"en": "Unknowns", "it": "Incognite"},
    "iterations": {"en": "Iterations", "it": "Iterazioni"},
    "solve_time": {"en": "Time of the solution", "it": "Tempo di soluzione"},
    "memory": {"en": "Peak memory", "it": "Memoria massima"},
    "checks": {"en": "Checks of this run", "it": "Verifiche di questo calcolo"},
    "check": {"en": "Check", "it": "Verifica"},
    "limit": {"en": "Limit", "it": "Limite"},
    "passed": {"en": "passed", "it": "superata"},
    "failed": {"en": "NOT passed", "it": "NON superata"},
    "outcome": {"en": "Outcome", "it": "Esito"},
    "failed_checks": {
        "en": "{} of {} checks did not pass: do not rely on this answer before the cause is known.",
        "it": "{} verifiche su {} non superate: non fare affidamento sulla risposta prima di conoscerne la causa.",
    },
    "notes": {"en": "Notes and limits", "it": "Note e limiti"},
    "provenance": {"en": "Provenance", "it": "Provenienza"},
    "page": {"en": "Page {} of {}", "it": "Pagina {} di {}"},
    "figure": {"en": "Figure", "it": "Figura"},
    "tetrahedra": {"en": "{} tetrahedra", "it": "{} tetraedri"},
    "corners": {"en": "{} corners", "it": "{} vertici"},
    "shape_quality": {"en": "shape quality (1 = regular)", "it": "qualità di forma (1 = regolare)"},
    "mean": {"en": "mean", "it": "media"},
    "some_faces": {"en": "{} of {} faces numbered: the largest", "it": "{} facce su {} numerate: le più grandi"},
    "hidden_faces": {"en": "not to be seen from outside: {}", "it": "non visibili dall'esterno: {}"},
    "one_solid": {"en": "One solid", "it": "Un solido"},
    "solids": {"en": "{} solids", "it": "{} solidi"},
    "with_faces": {"en": "with {} faces", "it": "con {} facce"},
    "from_file": {"en": "read in {}, as the file says", "it": "letto in {}, come dice il file"},
    "from_override": {"en": "read in {}, as the case says", "it": "letto in {}, come dice il caso"},
    "from_assumed": {
        "en": "read in {}, which the file does not say",
        "it": "letto in {}, che il file non dichiara",
    },
    "min": {"en": "min", "it": "min"},
    "max": {"en": "max", "it": "max"},
    "behind": {"en": "far side", "it": "lato opposto"},
    "true_shape": {"en": "deformation drawn true to scale", "it": "deformazione in scala reale"},
    "exaggerated": {"en": "deformation magnified {} times", "it": "deformazione amplificata {} volte"},
    "no_deformation": {"en": "undeformed shape", "it": "forma indeformata"},
    "higher": {
        "en": "colours end at {}; the highest values lie above",
        "it": "i colori terminano a {}; i valori massimi sono oltre",
    },
    "alt_field": {"en": "The part coloured by: {}, from {} to {}.", "it": "Il pezzo colorato secondo: {}, da {} a {}."},
    "faces_caption": {
        "en": "The part as it was read, each face with its number.",
        "it": "Il pezzo come è stato letto, ogni faccia con il suo numero.",
    },
    "setup_caption": {
        "en": "Where the conditions act; the letters are those of the table.",
        "it": "Dove agiscono le condizioni; le lettere sono quelle della tabella.",
    },
    "mesh_caption": {
        "en": "The mesh, cut open, and the shape quality of its elements.",
        "it": "La mesh, sezionata, e la qualità di forma dei suoi elementi.",
    },
    "along": {"en": "along {}", "it": "lungo {}"},
    "nothing": {"en": "nothing to set", "it": "nessun valore"},
    "whole": {"en": "on the whole part", "it": "su tutto il pezzo"},
    "face_list": {"en": "face {}", "it": "faccia {}"},
    "faces_list": {"en": "faces {}", "it": "facce {}"},
    "together": {"en": "area", "it": "area"},
    "picked": {"en": "{} picked", "it": "{} scelte a mano"},
    "named": {"en": "named “{}”", "it": "di nome “{}”"},
    "coloured": {"en": "of colour {}", "it": "di colore {}"},
    "radius": {"en": "radius {}", "it": "raggio {}"},
    "axis": {"en": "axis {}", "it": "asse {}"},
    "facing": {"en": "facing {}", "it": "rivolta verso {}"},
    "extreme": {"en": "farthest towards {}", "it": "più lontana verso {}"},
    "near": {"en": "nearest to {}", "it": "più vicina a {}"},
    "area_is": {"en": "area {}", "it": "area {}"},
    "on_body": {"en": "on body {}", "it": "sul corpo {}"},
    "hole": {"en": "hole", "it": "foro"},
    "shaft": {"en": "shaft", "it": "albero"},
    "plane": {"en": "plane", "it": "piano"},
    "cylinder": {"en": "cylinder", "it": "cilindro"},
    "cone": {"en": "cone", "it": "cono"},
    "sphere": {"en": "sphere", "it": "sfera"},
    "torus": {"en": "torus", "it": "toro"},
    "other": {"en": "free-form", "it": "forma libera"},
    "true": {"en": "yes", "it": "sì"},
    "false": {"en": "no", "it": "no"},
    "made": {"en": "Made", "it": "Creato"},
    # what solvers call their conditions and fields; anything else is shown as it is called
    "fixed": {"en": "Fixed", "it": "Incastro"},
    "roller": {"en": "Roller", "it": "Carrello"},
    "symmetry": {"en": "Symmetry", "it": "Simmetria"},
    "displacement": {"en": "Displacement", "it": "Spostamento"},
    "force": {"en": "Force", "it": "Forza"},
    "traction": {"en": "Traction", "it": "Trazione"},
    "pressure": {"en": "Pressure", "it": "Pressione"},
    "gravity": {"en": "Gravity", "it": "Gravità"},
    "acceleration": {"en": "Acceleration", "it": "Accelerazione"},
    "rotation": {"en": "Rotation", "it": "Rotazione"},
    "elastic_support": {"en": "Elastic support", "it": "Appoggio elastico"},
    "bearing": {"en": "Bearing load", "it": "Carico del perno"},
    "torque": {"en": "Torque", "it": "Coppia"},
    "remote_force": {"en": "Remote force", "it": "Forza a distanza"},
    "x": {"en": "x", "it": "x"},
    "y": {"en": "y", "it": "y"},
    "z": {"en": "z", "it": "z"},
    "point": {"en": "point", "it": "punto"},
    "direction": {"en": "Direction", "it": "Direzione"},
    "speed": {"en": "Speed", "it": "Velocità"},
    "required_safety": {"en": "Required safety factor", "it": "Coefficiente di sicurezza richiesto"},
    "tolerance": {"en": "Tolerance", "it": "Tolleranza"},
    "estimate_errors": {"en": "Errors estimated", "it": "Errori stimati"},
    "temperature": {"en": "Temperature", "it": "Temperatura"},
    "heat_flux": {"en": "Heat flux", "it": "Flusso termico"},
    "heat_source": {"en": "Heat source", "it": "Sorgente di calore"},
    "convection": {"en": "Convection", "it": "Convezione"},
    "ambient": {"en": "Ambient", "it": "Ambiente"},
    "coefficient": {"en": "Coefficient", "it": "Coefficiente"},
    "reference": {"en": "Reference", "it": "Riferimento"},
    "stiffness": {"en": "Stiffness", "it": "Rigidezza"},
    "density": {"en": "Density", "it": "Densità"},
    "youngs_modulus": {"en": "Young's modulus", "it": "Modulo di Young"},
    "poissons_ratio": {"en": "Poisson's ratio", "it": "Coefficiente di Poisson"},
    "yield_strength": {"en": "Yield strength", "it": "Tensione di snervamento"},
    "tensile_strength": {"en": "Tensile strength", "it": "Resistenza a trazione"},
    "thermal_expansion": {"en": "Thermal expansion", "it": "Dilatazione termica"},
    "thermal_conductivity": {"en": "Thermal conductivity", "it": "Conducibilità termica"},
    "specific_heat": {"en": "Specific heat", "it": "Calore specifico"},
    "dynamic_viscosity": {"en": "Dynamic viscosity", "it": "Viscosità dinamica"},
    "emissivity": {"en": "Emissivity", "it": "Emissività"},
    # what the mesh stage counts
    "elements": {"en": "Elements", "it": "Elementi"},
    "cells": {"en": "Elements", "it": "Elementi"},
    "nodes": {"en": "Nodes", "it": "Nodi"},
    "points": {"en": "Nodes", "it": "Nodi"},
    "element_size": {"en": "Largest element size asked for", "it": "Dimensione massima richiesta"},
    "smallest_edge": {"en": "Shortest edge", "it": "Lato più corto"},
    "largest_edge": {"en": "Longest edge", "it": "Lato più lungo"},
    "scaled_jacobian": {"en": "Scaled Jacobian", "it": "Jacobiano scalato"},
    "mesher": {"en": "Mesher", "it": "Generatore"},
    "min_quality": {"en": "Lowest element quality", "it": "Qualità minima degli elementi"},
    "mean_quality": {"en": "Mean element quality", "it": "Qualità media degli elementi"},
}

#: How errors are estimated, as solvers name it in English -> in Italian; others are shown as they are named.
METHODS = {
    "ZZ energy estimate x2": "stima energetica ZZ ×2",
    "ZZ energy estimate, scaled": "stima energetica ZZ, in scala",
    "ZZ goal estimate": "stima ZZ mirata alla grandezza",
    "goal-oriented ZZ estimate": "stima ZZ mirata alla grandezza",
    "ZZ goal estimate and recovery gap": "stima ZZ mirata e scarto di ricostruzione",
    "recovery gap x2 and ZZ energy estimate, scaled": "scarto di ricostruzione ×2 e stima energetica ZZ, in scala",
    "CAD volume against mesh volume": "volume nel CAD contro volume della mesh",
}

_UNIT_SIGNS = {
    "degC": "°C", "mm2": "mm²", "mm3": "mm³", "kg/m3": "kg/m³", "m/s2": "m/s²", "N/mm3": "N/mm³", "deg": "°",
    "W/m2": "W/m²", "W/m3": "W/m³", "W/m2/K": "W/(m² K)", "W/m/K": "W/(m K)", "J/kg/K": "J/(kg K)",
    "1e-6/K": "10⁻⁶/K", "um": "µm", "Nm": "N m", "um/m/K": "10⁻⁶/K", "cm3": "cm³",
    "kW/m2": "kW/m²", "W/cm3": "W/cm³",
}  # fmt: skip

#: Unit to prefer over the first of hub.units.UNITS where a value would be unreadable in it.
_OTHERWISE = {"N": ("N", "mN"), "m": ("um", "m"), "Pa": ("kPa", "Pa", "GPa"), "m**3": ("cm3", "m3"), "W": ("mW", "kW"),
              "1/K": ("1e-6/K",), "N*m": ("Nmm", "kNm"), "s": ("s", "ms", "min"), "byte": ("MB", "kB"),
              "N/m**3": ("N/m3",), "N/m": ("N/m", "kN/mm")}  # fmt: skip


class Language:
    """Words and numbers of one language: ``en`` or ``it``."""

    def __init__(self, code: str) -> None:
        self.code = code if code in ("en", "it") else "en"

    @classmethod
    def of_case(cls, folder: Path) -> Language:
        """The language of the case whose attempt has `folder` as its ``out/``; English where there is none."""
        try:
            return cls(json.loads((folder.resolve().parent / "in" / "case.json").read_bytes())["language"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls("en")

    def say(self, key: str, *values: Any) -> str:
        """The words of `key`; a key that is not known is shown as it is spelt, with spaces."""
        words = WORDS.get(key)
        text = words[self.code] if words else key.replace("_", " ")[:1].upper() + key.replace("_", " ")[1:]
        return text.format(*values) if values else text

    def method(self, name: str) -> str:
        """The name of a way to estimate errors."""
        return METHODS.get(name, name) if self.code == "it" else name

    def of(self, words: Mapping[str, str] | None, otherwise: str = "") -> str:
        """The text of this language among a solver's words, else the English one."""
        words = words or {}
        return words.get(self.code) or words.get("en") or next(iter(words.values()), "") or otherwise

    def number(self, value: float, decimals: int | None = None, digits: int = 4) -> str:
        """A number with `decimals` places, or with `digits` significant ones; thousands set apart."""
        if not math.isfinite(value):
            return "–"
        if decimals is None:
            if value != 0 and not 1e-4 <= abs(value) < 1e7:
                exponent = math.floor(math.log10(abs(value)))
                factor = f"{value / 10.0**exponent:.{max(digits - 2, 1)}f}".rstrip("0").rstrip(".")
                power = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] if c.isdigit() else "⁻" for c in str(exponent))
                return self._local(f"{factor} · 10{power}" if factor != "1" else f"10{power}")
            if value == int(value):
                return self._local(f"{int(value):,}")
            decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
            text = f"{value:,.{decimals}f}"
            return self._local(text.rstrip("0").rstrip(".") if "." in text else text)
        return self._local(f"{value:,.{max(decimals, 0)}f}")

    def _local(self, text: str) -> str:
        text = text.replace("-", "−")
        integer, _, fraction = text.partition(".")
        # four figures stay together, as in print
        integer = integer.replace(",", "\u202f" if len(integer.lstrip("−")) > 5 else "")
        return integer + (("," if self.code == "it" else ".") + fraction if fraction else "")

    def quantity(self, value: float, si: str, error: float | None = None, *, unit: str = "") -> str:
        """An SI value in the unit people read: ``101.3 ± 4.2 MPa``; the digits follow the error."""
        scale, offset, sign = self.scale(value, si, unit)
        number = (value - offset) / scale
        if error is None:
            return glue(self.number(number), sign)
        bar = abs(error / scale)
        if bar == 0 or not math.isfinite(bar):
            return glue(f"{self.number(number)} ± {self.number(bar)}", sign)
        # the Particle Data Group's rule: two figures of an error up to 35, else one
        exponent = math.floor(math.log10(bar))
        decimals = (1 if float(f"{bar:.2e}") < 3.55 * 10.0**exponent else 0) - exponent
        if decimals > 6:
            return glue(f"{self.number(number, digits=7)} ± {self.number(bar, digits=2)}", sign)
        return glue(f"{self.number(number, decimals)} ± {self.number(round(bar, decimals), decimals)}", sign)

    def scale(self, value: float, si: str, unit: str = "") -> tuple[float, float, str]:
        """(SI value of one unit, SI value of its zero, sign of the unit) of the unit in which `value` reads well."""
        if si not in UNITS:
            return 1.0, 0.0, si
        at_zero, name = show(0.0, si)
        at_one, _ = show(1.0, si)
        slope = at_one - at_zero
        scale, offset = 1 / slope, -at_zero / slope
        if si != "K" and value and not 0.01 <= abs(value / scale) < 1e5:
            from hub.units import to_si

            for other in _OTHERWISE.get(si, ()):
                factor = to_si(f"1 {other}", si)
                if 0.01 <= abs(value / factor) < 1e5:
                    return factor, 0.0, _UNIT_SIGNS.get(other, other)
        return scale, offset, _UNIT_SIGNS.get(name, name)

    def vector(self, values: list[float] | tuple[float, ...], si: str) -> str:
        """A vector as its length and direction where it lies along an axis, else with its components too."""
        length = math.sqrt(sum(v * v for v in values))
        if length == 0:
            return self.quantity(0.0, si)
        text = self.quantity(length, si)
        for axis, value in zip("xyz", values, strict=True):
            if abs(abs(value) - length) <= 1e-9 * length:
                return f"{text} {self.say('along', ('−' if value < 0 else '+') + axis)}"
        scale, offset, sign = self.scale(length, si)
        parts = "; ".join(self.number((v - offset) / scale) for v in values)
        return f"{text} ({glue(parts, sign)})"

    def length(self, value: float) -> str:
        """A length of the part [m], in mm."""
        return glue(self.number(1e3 * value, digits=5), "mm")

    def box(self, size: Iterable[float]) -> str:
        """The edges of a box [m], in mm."""
        return glue(" × ".join(self.number(1e3 * edge, digits=5) for edge in size), "mm")

    def point(self, values: list[float] | tuple[float, ...]) -> str:
        """A place [m] in mm."""
        return "(" + "; ".join(self.number(round(1e3 * v, 1) + 0.0, 1) for v in values) + ") mm"


def glue(number: str, sign: str) -> str:
    """Number and unit that stay on one line."""
    return f"{number}\u00a0{sign}" if sign else number
