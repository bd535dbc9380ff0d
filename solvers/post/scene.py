"""A part drawn without a display, by VTK through OSMesa or EGL, in parallel projection.

Everything that is not surface (numbers, leaders, scales) is put on the picture afterwards by ``ink.py``; for that a
:class:`View` says where a point of the part is on the picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from vtkmodules import vtkRenderingOpenGL2 as opengl
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, vtkLookupTable, vtkPoints, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkPolyDataNormals
from vtkmodules.vtkFiltersSources import vtkSphereSource
from vtkmodules.vtkRenderingCore import vtkActor, vtkGlyph3DMapper, vtkLight, vtkPolyDataMapper, vtkRenderer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Ways to draw without a display, in the order they are tried -> the kind of window.
WINDOWS = {"OSMesa": "vtkOSOpenGLRenderWindow", "EGL": "vtkEGLRenderWindow"}

#: Environment variable that names the way to use.
WINDOW = "OFFICINA_PICTURES"

#: Pixels drawn for each pixel shown, in each direction: edges without steps.
SUPERSAMPLING = 2

PAPER = (255, 255, 255)
EDGE = (38, 44, 52)


class NoWindow(Exception):
    """Nothing can be drawn this way on this machine."""


@dataclass(frozen=True)
class View:
    """Where a camera at infinity stands and what it sees.

    towards : from the part to the eye, unit vector; right, up : the picture's axes, unit vectors
    centre : (3,) the point in the middle of the picture [m]; scale : metres a pixel
    width, height : [px]
    """

    towards: Floats
    right: Floats
    up: Floats
    centre: Floats
    scale: float
    width: int
    height: int

    @classmethod
    def fit(
        cls, points: Floats, towards: tuple[float, float, float], size: tuple[int, int], margin: tuple[int, int]
    ) -> View:
        """The view from `towards` (z upright) that shows `points` (n, 3) [m] with `margin` pixels left free."""
        eye = np.asarray(towards, float) / np.linalg.norm(towards)
        upright = np.array([0.0, 0.0, 1.0]) if abs(eye[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
        right = np.cross(upright, eye)
        right /= np.linalg.norm(right)
        up = np.cross(eye, right)
        flat = points @ np.stack([right, up, eye], axis=1)
        low, high = flat.min(axis=0), flat.max(axis=0)
        room = np.maximum(np.array(size) - 2 * np.array(margin), 16)
        scale = float(((high - low)[:2] / room).max()) or 1.0
        middle = (low + high) / 2
        centre = middle[0] * right + middle[1] * up + middle[2] * eye
        return cls(eye, right, up, centre, scale, *size)

    def pixels(self, points: npt.ArrayLike) -> Floats:
        """(n, 3) points [m] -> (n, 3): column and row on the picture [px], and nearness to the eye [m]."""
        away = np.atleast_2d(np.asarray(points, float)) - self.centre
        return np.stack(
            [
                self.width / 2 + away @ self.right / self.scale,
                self.height / 2 - away @ self.up / self.scale,
                away @ self.towards,
            ],
            axis=1,
        )


def polydata(points: Floats, cells: Ints) -> vtkPolyData:
    """(n, 3) points and (m, 3) triangles or (m, 2) lines as VTK data."""
    data, where, lattice = vtkPolyData(), vtkPoints(), vtkCellArray()
    where.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True))
    flat = np.insert(np.asarray(cells, np.int64), 0, cells.shape[1], axis=1)
    lattice.ImportLegacyFormat(numpy_to_vtkIdTypeArray(np.ascontiguousarray(flat).ravel(), deep=True))
    data.SetPoints(where)
    (data.SetPolys if cells.shape[1] == 3 else data.SetLines)(lattice)
    return data


#: ((k, 3) colours, value of the first, value of the last)
Table = tuple[npt.NDArray[np.uint8], float, float]


def _colour(data: vtkPolyData, mapper: vtkPolyDataMapper, values: Floats, table: Table) -> None:
    """Colour by `values` (n,) at the points."""
    colours, low, high = table
    lookup = vtkLookupTable()
    rgba = np.c_[colours, np.full(len(colours), 255)].astype(np.uint8)
    lookup.SetTable(numpy_to_vtk(rgba, deep=True, array_type=VTK_UNSIGNED_CHAR))
    lookup.SetRange(low, high if high > low else low + 1)
    data.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values, dtype=float), deep=True))
    mapper.SetScalarModeToUsePointData()
    mapper.SetLookupTable(lookup)
    mapper.UseLookupTableScalarRangeOn()
    mapper.InterpolateScalarsBeforeMappingOn()


class Scene:
    """Surfaces and lines to be drawn. Raises NoWindow where the machine cannot."""

    def __init__(self, background: tuple[int, int, int] = (255, 255, 255)) -> None:
        self._renderer = vtkRenderer()
        self._renderer.SetBackground(*(c / 255 for c in background))
        self._renderer.AutomaticLightCreationOff()
        for x, y, z, strength in ((-0.5, 0.8, 1.0, 0.62), (0.8, -0.1, 0.9, 0.42)):
            light = vtkLight()
            light.SetLightTypeToCameraLight()
            light.SetPosition(x, y, z)
            light.SetIntensity(strength)
            self._renderer.AddLight(light)

    def surface(
        self,
        points: Floats,
        triangles: Ints,
        *,
        colour: tuple[int, int, int] = (205, 210, 216),
        cell_colours: npt.NDArray[np.uint8] | None = None,
        values: Floats | None = None,
        table: Table | None = None,
        opacity: float = 1.0,
        lit: bool = True,
        gentle: bool = False,
        smooth: bool = True,
    ) -> None:
        """Add triangles.

        cell_colours : (m, 3) a colour each; or values : (n,) at the points, coloured by
        table : ((k, 3) colours, value of the first, value of the last)
        gentle : shaded less, so that colours can be compared with a scale
        lit : shaded; without, the colours come out exactly as they are
        """
        data = polydata(points, triangles)
        mapper = vtkPolyDataMapper()
        if cell_colours is not None:
            rgb = numpy_to_vtk(np.ascontiguousarray(cell_colours), deep=True, array_type=VTK_UNSIGNED_CHAR)
            data.GetCellData().SetScalars(rgb)
            mapper.SetScalarModeToUseCellData()
        elif values is not None and table is not None:
            _colour(data, mapper, values, table)
        else:
            mapper.ScalarVisibilityOff()
        if lit and smooth:
            normals = vtkPolyDataNormals()
            normals.SetInputData(data)
            normals.SetFeatureAngle(25)
            normals.SplittingOn()
            normals.ConsistencyOff()
            normals.Update()
            data = normals.GetOutput()
        mapper.SetInputData(data)
        mapper.SetResolveCoincidentTopologyToPolygonOffset()
        mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(1.5, 1.5)
        actor = vtkActor()
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        look.SetColor(*(c / 255 for c in colour))
        look.SetOpacity(opacity)
        if lit:
            look.SetAmbient(0.62 if gentle else 0.52)
            look.SetDiffuse(0.42 if gentle else 0.56)
        else:
            look.LightingOff()
        self._renderer.AddActor(actor)

    def lines(
        self, points: Floats, edges: Ints, *, colour: tuple[int, int, int] = EDGE, width: float = 1.2,
        opacity: float = 1.0, values: Floats | None = None,
        table: Table | None = None,
    ) -> None:  # fmt: skip
        """Add (k, 2) edges, `width` [px], of one colour or coloured as in :meth:`surface`."""
        if not len(edges):
            return
        data, mapper = polydata(points, edges), vtkPolyDataMapper()
        if values is not None and table is not None:
            _colour(data, mapper, values, table)
        else:
            mapper.ScalarVisibilityOff()
        mapper.SetInputData(data)
        actor = vtkActor()
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        look.SetColor(*(c / 255 for c in colour))
        look.SetLineWidth(width * SUPERSAMPLING)
        look.SetOpacity(opacity)
        look.LightingOff()
        self._renderer.AddActor(actor)

    def spheres(self, points: Floats, radii: Floats, colours: npt.NDArray[np.uint8]) -> None:
        """Add spheres: centres (n, 3) and radii (n,) [m], a colour (n, 3) each."""
        data = vtkPolyData()
        where = vtkPoints()
        where.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True))
        data.SetPoints(where)
        size = numpy_to_vtk(np.ascontiguousarray(radii, dtype=float), deep=True)
        size.SetName("radius")
        data.GetPointData().AddArray(size)
        rgb = numpy_to_vtk(np.ascontiguousarray(colours), deep=True, array_type=VTK_UNSIGNED_CHAR)
        data.GetPointData().SetScalars(rgb)
        ball = vtkSphereSource()
        ball.SetRadius(1.0)
        ball.SetThetaResolution(14)
        ball.SetPhiResolution(10)
        mapper = vtkGlyph3DMapper()
        mapper.SetInputData(data)
        mapper.SetSourceConnection(ball.GetOutputPort())
        mapper.SetScaleArray("radius")
        mapper.SetScaleModeToScaleByMagnitude()
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetAmbient(0.5)
        actor.GetProperty().SetDiffuse(0.6)
        self._renderer.AddActor(actor)

    def draw(self, view: View, *, exact: bool = False, quick: bool = False) -> npt.NDArray[np.uint8]:
        """The picture (height, width, 3).

        exact : one sample a pixel, no smoothing, colours as given; quick : one sample a pixel
        """
        factor = 1 if exact or quick else SUPERSAMPLING
        width, height = view.width * factor, view.height * factor
        window = _window()
        window.SetSize(width, height)
        window.AddRenderer(self._renderer)
        camera = self._renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        camera.SetFocalPoint(*view.centre)
        camera.SetPosition(*(view.centre + view.towards * view.scale * (view.width + view.height) * 2))
        camera.SetViewUp(*view.up)
        camera.SetParallelScale(view.scale * view.height / 2)
        self._renderer.ResetCameraClippingRange()
        window.Render()
        taken = vtkUnsignedCharArray()
        window.GetPixelData(0, 0, width - 1, height - 1, 0, taken, 0)
        window.RemoveRenderer(self._renderer)
        if taken.GetNumberOfTuples() != width * height:
            raise NoWindow("no pixels came back")
        rgb = vtk_to_numpy(taken).reshape(height, width, 3)[::-1]
        if not rgb.any():
            raise NoWindow("the picture is black")
        if factor == 1:
            return rgb.copy()
        return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).reduce(factor))


@cache
def _window() -> opengl.vtkOpenGLRenderWindow:
    """The one window of this process, on no display."""
    name = WINDOWS[os.environ.get(WINDOW, next(iter(WINDOWS)))]
    kind = getattr(opengl, name, None)
    if kind is None:
        raise NoWindow(f"this VTK has no {name}")
    window = kind()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    return window


def seen(points: Floats, triangles: Ints, number: Ints, views: Sequence[View]) -> list[Ints]:
    """Which triangle group each pixel shows, for each view: (height, width), -1 where there is none.

    number : (m,) group of each triangle, 0 to 16 million
    """
    code = np.asarray(number, np.int64) + 1
    colours = np.stack([code >> 16 & 255, code >> 8 & 255, code & 255], axis=1).astype(np.uint8)
    scene = Scene(background=(0, 0, 0))
    scene.surface(points, triangles, cell_colours=colours, lit=False)
    drawn = (scene.draw(view, exact=True).astype(np.int64) for view in views)
    return [(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]) - 1 for rgb in drawn]
