"""One truth per fact: what the build files, the sources and the documents say must agree."""

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.ros_packages import ROS_PACKAGES

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "vljepa_ros").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
EVIDENCE = sorted((ROOT / "benchmarks" / "evidence").rglob("*.py"))
INTERFACES = sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")])
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())

# What import statements call the packages that pip and ROS name otherwise.
PIP_NAMES = {
    "bayesian_changepoint_detection": "bayesian-changepoint",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Python packages that the wheels' names in package.xml stand for.
ROSDEP_KEYS = {"numpy": "python3-numpy", "cv2": "python3-opencv", "yaml": "python3-yaml"}


def imports(path: Path) -> set[str]:
    """Return the top-level names of all that a Python file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def foreign_imports(paths: list[Path]) -> set[str]:
    """Return what is imported from neither the standard library nor this package."""
    names = set().union(*map(imports, paths))
    return names - sys.stdlib_module_names - {"vljepa_ros"}


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_version_is_the_same_everywhere() -> None:
    version = package_xml().findtext("version")
    assert version
    told = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split()[-1] == version
    changes = (ROOT / "CHANGELOG.rst").read_text("utf-8")
    newest = re.search(r"^(Forthcoming|\d+\.\d+\.\d+)", changes, re.MULTILINE)
    assert newest, "CHANGELOG.rst has no section"
    assert newest.group(1) in ("Forthcoming", version)


def test_the_licence_is_the_same_everywhere() -> None:
    assert package_xml().findtext("license") == "Apache-2.0"
    assert 'license="Apache-2.0"' in (ROOT / "setup.py").read_text("utf-8")
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_installed(script: Path) -> None:
    assert script.stat().st_mode & 0o111, "symlinked installs keep the mode of the source"
    assert f"scripts/{script.name}\n" in (ROOT / "CMakeLists.txt").read_text("utf-8")
    assert (ROOT / "vljepa_ros" / "nodes" / f"{script.name}.py").is_file()


def test_scripts_are_executable_in_git() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-s", "scripts", "tools/*.sh", ".ci/run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not in a git checkout")
    modes = {line.split("\t")[1]: line[:6] for line in listed.stdout.splitlines()}
    assert {"scripts/embedder", "tools/test.sh", ".ci/run"} <= modes.keys()
    # env.sh is sourced, never run.
    assert {name: mode for name, mode in modes.items() if mode != "100755"}.keys() <= {
        "tools/env.sh"
    }


def test_ros_imports_are_declared_in_package_xml() -> None:
    used = foreign_imports([*MODULES, *ROOT.glob("launch/*.py")])
    declared = {
        element.text for element in package_xml() if element.tag in ("depend", "exec_depend")
    }
    assert used & ROS_PACKAGES <= declared
    assert {key for name, key in ROSDEP_KEYS.items() if name in used} <= declared


def test_pip_imports_are_declared_in_setup_py() -> None:
    used = foreign_imports(MODULES) - ROS_PACKAGES
    tests = foreign_imports(sorted((ROOT / "tests").rglob("*.py"))) - ROS_PACKAGES
    scripts = {path.stem for path in BENCHMARKS} | {"evidence"}
    evidence = foreign_imports([*BENCHMARKS, *EVIDENCE]) - ROS_PACKAGES - scripts
    text = (ROOT / "setup.py").read_text("utf-8")
    declared = {
        re.split(r"[<>=\[ ]", node.value)[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    wanted = {PIP_NAMES.get(name, name.replace("_", "-")) for name in used | tests | evidence}
    # Namespaces: a distribution that brings more than the module of its name.
    wanted = {{"mcap-ros2": "mcap-ros2-support"}.get(name, name) for name in wanted}
    own = {
        "tests",
        "conftest",
        "evidence",
        "lifecycle-msgs",
        "power",
        "published",
        "setuptools",
    } | local_test_modules()
    assert wanted - own <= declared


def test_both_distributions_bring_the_same_wheels() -> None:
    named = {}
    for distribution in ("kilted", "jazzy"):
        text = (ROOT / f"requirements-ros-{distribution}.txt").read_text("utf-8")
        names = re.findall(rf"^ros-(?:{distribution}-)?(\S+)", text, re.MULTILINE)
        named[distribution] = set(names)
    # Kilted brought these two.
    new = {"ament-cmake-ros-core", "rmw-security-common"}
    assert named["kilted"] == named["jazzy"] | new
    assert not named["jazzy"] & new


def local_test_modules() -> set[str]:
    return {path.stem.replace("_", "-") for path in (ROOT / "tests").rglob("*.py")}


def test_cmake_installs_the_python_modules_after_the_generated_ones() -> None:
    text = (ROOT / "CMakeLists.txt").read_text("utf-8")
    code = re.sub(r"#.*", "", text)
    assert "ament_python_install_package" not in code, "it collides with rosidl's own call"
    assert code.index("rosidl_generate_interfaces(") < code.index("install(DIRECTORY")


def test_cmake_generates_every_interface() -> None:
    text = (ROOT / "CMakeLists.txt").read_text("utf-8")
    named = set(re.findall(r'"((?:msg|srv)/\w+\.(?:msg|srv))"', text))
    assert named == {path.relative_to(ROOT).as_posix() for path in INTERFACES}


def test_the_profiles_for_fast_dds_differ_by_the_white_list_alone() -> None:
    read = [
        ElementTree.parse(ROOT / "config" / f"{name}.xml").getroot()
        for name in ("fastdds", "fastdds_localhost")
    ]
    space = "{http://www.eprosima.com}"
    ((udp, listed),) = (
        (transport, found)
        for transport in read[1].iter(f"{space}transport_descriptor")
        if (found := transport.find(f"{space}interfaceWhiteList")) is not None
    )
    assert [address.text for address in listed] == ["127.0.0.1"]
    udp.remove(listed)
    texts = [ElementTree.tostring(root, encoding="unicode") for root in read]
    assert len({ElementTree.canonicalize(text, strip_text=True) for text in texts}) == 1


@pytest.mark.parametrize(
    "path", [*MODULES, *EVIDENCE], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_every_field_has_a_comment(path: Path) -> None:
    commented = False
    for line in path.read_text("utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            commented = True
        elif text in ("", "---"):
            commented = False
        else:
            assert commented or "#" in text, f"{path.name}: {text}"


@pytest.mark.parametrize("part", ["model", "streaming", "runtime", "training"])
def test_the_core_imports_without_ros(part: str) -> None:
    code = (
        "import sys, pkgutil, importlib\n"
        "import tests.no_ros\n"
        f"import vljepa_ros.{part} as part\n"
        "for module in pkgutil.walk_packages(part.__path__, part.__name__ + '.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "assert 'rclpy' not in sys.modules\n"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_nodes_leave_arrays_to_the_converters() -> None:
    nodes = (ROOT / "vljepa_ros" / "nodes").glob("*.py")
    with_arrays = {path.name for path in nodes if imports(path) & {"numpy", "cv2", "torch"}}
    assert with_arrays == {"conversions.py", "images.py", "diagnostics.py"}


def test_streaming_needs_neither_ros_nor_torch() -> None:
    code = (
        "import sys\n"
        "import tests.no_ros\n"
        "sys.modules['torch'] = None\n"
        "import vljepa_ros.streaming.window, vljepa_ros.streaming.gate, vljepa_ros.runtime\n"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
