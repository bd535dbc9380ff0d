"""What changes over time, as an animation for the pages and a strip of pictures for the report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from vtkmodules.vtkIOHDF import vtkHDFReader

from hub.result import View
from solvers.post import grains, scene
from solvers.post.cuts import Cut, Range
from solvers.post.fields import Fields, feature_edges, scalar
from solvers.post.ink import Sheet
from solvers.post.labels import PANEL, colour_scale
from solvers.post.poses import Poses
from solvers.post.scene import Scene
from solvers.post.words import Language

#: Most frames of an animation, how long each is shown [ms], and how large it is [px].
FRAMES, SHOWN, SIZE = 60, 90, (760, 620)
#: Frames of the strip in a report.
STRIP = 4
CAPTION = 40


class Film:
    """One view of ``moving.vtkhdf``.

    Raises OSError, ValueError if the file has no steps or not the view's field.
    """

    def __init__(self, file: Path, view: View, surface: Mapping[str, Any] | None, language: Language) -> None:
        if not file.is_file():
            raise ValueError(f"the answer has the view {view.name}, but {file.name} is not there")
        self.view, self.surface, self.language = view, surface, language
        self._poses = Poses.read(file)
        self._reader = vtkHDFReader()
        self._reader.SetFileName(str(file))
        self._reader.UpdateInformation()
        count = self._reader.GetNumberOfSteps()
        if count < 1:
            raise ValueError(f"{file.name} has no steps in time")
        self.steps = np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int)).tolist()

    def _data(self, step: int) -> tuple[Any, float]:
        """The data of a step and its time [s]."""
        self._reader.SetStep(int(step))
        self._reader.Update()
        return self._reader.GetOutputDataObject(0), float(self._reader.GetTimeValue())

    @cached_property
    def _painting(self) -> grains.Painting:
        """One scale of colours for all frames."""
        seen = [self._values(self._data(step)[0]) for step in self.steps[:: max(1, len(self.steps) // 12)]]
        return grains.Painting.of(np.concatenate(seen), self.view, self.language)

    def _values(self, data: Any) -> scene.Floats:
        fields = grains.Grains.of(data).fields if self._grains else Fields(data).everywhere
        if self.view.field not in fields:
            raise ValueError(f"moving.vtkhdf has no field {self.view.field!r}; it has {', '.join(sorted(fields))}")
        return scalar(fields[self.view.field], self.view.component)

    @property
    def _grains(self) -> bool:
        return self.view.kind == "moving grains"

    @cached_property
    def _look(self) -> scene.View:
        """The eye stands still, and sees all that happens."""
        if not self._grains:
            cut = self._first
            return scene.View.fit(cut.points, tuple(cut.normal), self._size, (24, 24))
        everything = [grains.Grains.of(self._data(step)[0]) for step in (self.steps[0], self.steps[-1])]
        both = grains.Grains(
            np.concatenate([g.points for g in everything]), np.concatenate([g.radii for g in everything]), {}
        )
        standing = [s for step in self.steps[: None if self._poses else 1] if (s := self._walls(step))]
        return grains.look(both, standing, SIZE, (24, 24))

    def _walls(self, step: int) -> Mapping[str, Any] | None:
        """The walls as they stand at a step."""
        return self._poses.at(self.surface, step) if self._poses and self.surface else self.surface

    @cached_property
    def _first(self) -> Cut:
        return self._cut(Fields(self._data(self.steps[0])[0]))

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Of a frame: a long duct needs no height [px]."""
        if self._grains:
            return SIZE
        seen = scene.View.fit(self._first.points, tuple(self._first.normal), SIZE, (24, 24))
        return SIZE[0], min(SIZE[1], max(120, 48 + round(float(np.ptp(seen.pixels(self._first.points)[:, 1])))))

    def _cut(self, fields: Fields) -> Cut:
        if fields.flat:
            return Cut.of_plane(fields)
        if self.view.section is None:
            raise ValueError(f"the moving view {self.view.name} of a solid domain needs a section")
        return Cut.through(fields, self.view.section)

    def frame(self, step: int) -> Image.Image:
        """The picture of one step with its time."""
        data, time = self._data(step)
        if self._grains:
            made = grains.stage(grains.Grains.of(data), self._painting, self._walls(step))
        else:
            cut, made = self._cut(Fields(data)), Scene()
            values = scalar(cut.values[self.view.field], self.view.component)
            made.surface(cut.points, cut.triangles, values=values, table=self._painting.range.table, lit=False)
            made.lines(cut.points, feature_edges(cut.points, cut.triangles), width=1.0)
        sheet = Sheet(self._size[0], self._size[1] + CAPTION)
        sheet.paste(made.draw(self._look, quick=self._grains), (0, CAPTION))
        sheet.text((16, CAPTION / 2), f"t = {self.language.quantity(time, 's', digits=3)}", 24, anchor="lm", bold=True)
        return sheet.image

    def save(self, target: Path) -> None:
        """The animation, as WebP."""
        target.parent.mkdir(parents=True, exist_ok=True)
        first, *others = [self.frame(step) for step in self.steps]
        first.save(target, "WEBP", save_all=True, append_images=others, duration=SHOWN, loop=0, quality=72, method=2)

    def strip(self) -> tuple[Sheet, str, str]:
        """Some frames in one picture, a note on them, and what they show in words."""
        chosen = [self.steps[i] for i in np.linspace(0, len(self.steps) - 1, STRIP).round().astype(int)]
        columns = 1 if self._size[0] > 2 * self._size[1] else 2
        rows = -(-len(chosen) // columns)
        scale: Range | None = None if self._painting.kinds else self._painting.range
        sheet = Sheet(columns * self._size[0], rows * (self._size[1] + CAPTION))
        for i, step in enumerate(chosen):
            at = (i % columns * self._size[0], i // columns * (self._size[1] + CAPTION))
            sheet.image.paste(self.frame(step), at)
        if scale:
            bar = colour_scale(scale.low, scale.high, scale.beyond, scale.colours, scale.unit, self.language)
            wide = Sheet(sheet.image.width + bar.image.width, max(sheet.image.height, PANEL[1]))
            wide.image.paste(sheet.image, (0, 0))
            wide.image.paste(bar.image, (sheet.image.width, (wide.image.height - bar.image.height) // 2))
            sheet = wide
        said = self.language.say("alt_strip", self.language.of(self.view.title, self.view.name), len(chosen))
        return sheet, self.language.say("strip_note"), said
