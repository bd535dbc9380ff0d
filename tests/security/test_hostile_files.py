"""Files made to run code, to read other files or to eat the machine get a verdict and nothing else."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hub.filekind import EXTENSION
from hub.intake import Limits, inspect

EXTENSIONS = sorted({*EXTENSION.values(), "stp", "geo", "pos", "opt", "geo_unrolled", "unv", "p21", "x"})


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(
    "head", ["", "ISO-10303-21;\n", "$MeshFormat\n4.1 0 8\n$EndMeshFormat\n", "solid a\nfacet normal "]
)
def test_a_script_runs_under_no_name(extension: str, head: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    file = tmp_path / f"part.{extension}"
    tail = "\nEND-ISO-10303-21;\n" if head.startswith("ISO") else ""
    file.write_text(f'{head}SystemCall "touch {canary}";\nMerge "/etc/passwd";\nPoint(1) = {{0,0,0,1}};{tail}')
    assert inspect(file).overall == "refused"
    assert not canary.exists()


def hdf5(file: Path) -> h5py.File:
    tree = h5py.File(file, "w")
    tree.create_group("INFOS_GENERALES")
    return tree


def secret(folder: Path) -> Path:
    file = folder / "secret.bin"
    file.write_bytes(np.arange(30.0).tobytes())
    return file


def test_hdf5_that_reads_other_files(tmp_path: Path) -> None:
    tricks = {}
    with hdf5(tmp_path / "external.med") as tree:
        tree.create_dataset("COO", (30,), "f8", external=[(str(secret(tmp_path)), 0, 240)])
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = np.arange(30.0)
    with hdf5(tmp_path / "link.med") as tree:
        tree["COO"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "data")
    with hdf5(tmp_path / "soft.med") as tree:
        tree["COO"] = h5py.SoftLink("/INFOS_GENERALES")
    with hdf5(tmp_path / "virtual.med") as tree:
        layout = h5py.VirtualLayout((30,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", (30,))
        tree.create_virtual_dataset("COO", layout)
    for name in ("external", "link", "soft", "virtual"):
        verdict = inspect(tmp_path / f"{name}.med")
        tricks[name] = {p.code for p in verdict.problems}
    assert tricks == {name: {"points-outside"} for name in tricks}


def test_hdf5_bomb(tmp_path: Path) -> None:
    with hdf5(tmp_path / "bomb.med") as tree:
        tree.create_dataset("COO", (2**37,), "f8", chunks=(2**20,), compression="gzip")
    assert (tmp_path / "bomb.med").stat().st_size < 100_000
    verdict = inspect(tmp_path / "bomb.med")
    assert {p.code for p in verdict.problems} == {"too-large"}


VTU = """<?xml version="1.0"?>{doctype}
<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian"><UnstructuredGrid>
<Piece NumberOfPoints="{points}" NumberOfCells="1"><Points><DataArray type="Float64" NumberOfComponents="3"
format="ascii">{data}</DataArray></Points><Cells></Cells></Piece></UnstructuredGrid></VTKFile>"""


def test_vtu_with_entities(tmp_path: Path) -> None:
    file = tmp_path / "a.vtu"
    laughs = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
    doctype = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    file.write_text(VTU.format(doctype=doctype, points=4, data="&l11; &f;"))
    verdict = inspect(file, limits=Limits(seconds=30))
    assert verdict.overall == "refused"
    assert "root:" not in verdict.model_dump_json()


def test_meshes_that_include_other_files(tmp_path: Path) -> None:
    inp = tmp_path / "a.inp"
    inp.write_text("*NODE\n1,0,0,0\n*INCLUDE, INPUT=/etc/passwd\n")
    bdf = tmp_path / "a.bdf"
    bdf.write_text("BEGIN BULK\nINCLUDE '/etc/passwd'\nGRID,1,,0.,0.,0.\nENDDATA\n")
    for file in (inp, bdf):
        verdict = inspect(file)
        assert {p.code for p in verdict.problems} == {"points-outside"}, verdict.problems


def test_the_closed_process_sees_nothing_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hub import closed

    monkeypatch.setenv("OFFICINA_SECRET", "canary")
    assert "canary" not in str(closed._environment(tmp_path))


def test_no_network_inside(tmp_path: Path) -> None:
    """The launcher's word about the network is true."""
    import json
    import subprocess
    import sys

    program = (
        "import socket; print([n for _, n in socket.if_nameindex()]); socket.create_connection(('127.0.0.1', 9), 1)"
    )
    launcher = Path(__file__).resolve().parents[2] / "hub" / "launch.py"
    ran = subprocess.run(
        [sys.executable, "-I", str(launcher), json.dumps({"RLIMIT_NOFILE": 64}), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(ran.stdout.splitlines()[0])
    if said["network"] != "none":
        pytest.skip(f"this kernel does not let go of the network: {said['network']}")
    assert ran.returncode != 0 and "unreachable" in ran.stderr.lower(), ran.stderr
