"""The fixed words of pictures and reports in each language."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.figures import Figures, glue

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
    "plots": {"en": "Plots", "it": "Grafici"},
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
    "memory_each": {"en": "{}, {} for each unknown", "it": "{}, {} per incognita"},
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
    "triangles": {"en": "{} triangles", "it": "{} triangoli"},
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
    "alt_section": {
        "en": "A section coloured by: {}, from {} to {}.",
        "it": "Una sezione colorata secondo: {}, da {} a {}.",
    },
    "alt_streamlines": {
        "en": "Streamlines coloured by: {}, from {} to {}.",
        "it": "Linee di flusso colorate secondo: {}, da {} a {}.",
    },
    "alt_grains": {"en": "{} grains coloured by: {}.", "it": "{} grani colorati secondo: {}."},
    "alt_strip": {"en": "{} at {} moments.", "it": "{} in {} istanti."},
    "alt_plot": {"en": "{} against {}, lines: {}.", "it": "{} in funzione di {}, linee: {}."},
    "strip_note": {"en": "the pages show it moving", "it": "nelle pagine si vede in movimento"},
    "section_at": {"en": "section at {} = {}", "it": "sezione a {} = {}"},
    "section_through": {"en": "section through {}", "it": "sezione per {}"},
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
    "along": {"en": "Along", "it": "Lungo"},
    "towards": {"en": "along {}", "it": "lungo {}"},
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
    "periodic": {"en": "Periodic", "it": "Periodico"},
    "porous": {"en": "Porous", "it": "Poroso"},
    "fan": {"en": "Fan", "it": "Ventilatore"},
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
    "quadratic against cubic elements": "elementi quadratici contro cubici",
    "steps twice as long and quadratic elements": "passi doppi ed elementi quadratici",
    "steps twice as long and quadratic elements; batch means": "passi doppi ed elementi quadratici; medie a gruppi",
    "steps twice as long, not the mesh": "passi doppi, non la mesh",
    "steps twice as long, not the mesh; batch means": "passi doppi, non la mesh; medie a gruppi",
    "batch means, statistical only": "medie a gruppi, solo statistica",
    "as given": "come dato",
}


class Language(Figures):
    """Words and numbers of one language: ``en`` or ``it``."""

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

    def vector(self, values: list[float] | tuple[float, ...], si: str) -> str:
        """A vector as its length and direction where it lies along an axis, else with its components too."""
        length = math.sqrt(sum(v * v for v in values))
        if length == 0:
            return self.quantity(0.0, si)
        text = self.quantity(length, si)
        for axis, value in zip("xyz", values, strict=True):
            if abs(abs(value) - length) <= 1e-9 * length:
                return f"{text} {self.say('towards', ('−' if value < 0 else '+') + axis)}"
        scale, offset, sign = self.scale(length, si)
        parts = "; ".join(self.number((v - offset) / scale) for v in values)
        return f"{text} ({glue(parts, sign)})"
