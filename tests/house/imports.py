"""No circles of modules, and no imports of a higher floor."""

from house.package import Import, Package

# From the ground. A module may import from its own floor and from the floors below.
FLOORS = (
    {"validation", "jit", "threads", "files", "elementary", "machine"},
    {"losses", "optim", "fast", "layers", "quantize", "data", "tiny"},
    {"networks", "models", "diagnostics", "watch"},
    {"training"},
    {"experiments", "plots", "testing"},
    {"cli", "lessons", "teaching", "estimators"},
)
STRANGERS = ({"layers", "quantize"},)  # neither of these imports the other
ALONE = {"tiny": {"data.gaussians"}}  # all that a module may import of the package


def circles(package: Package) -> list[str]:
    """Name the circles of modules; one that holds a shorter one is left out."""
    arrows: dict[str, dict[str, str]] = {}
    for one in package.imports:
        for reached in (one.imported, *foreign_parents(one)):
            arrows.setdefault(one.importer, {}).setdefault(reached, one.where)
    found = [
        (shortest(arrows, imported, importer), where)
        for importer, reached in arrows.items()
        for imported, where in reached.items()
    ]
    offenders: dict[frozenset[str], str] = {}
    for circle, where in sorted(found, key=lambda each: len(each[0])):
        if circle and not any(shorter <= set(circle) for shorter in offenders):
            way = " → ".join([circle[-1], *circle])
            offenders[frozenset(circle)] = f"{where}: circle {way}; move what both need below them"
    return list(offenders.values())


def foreign_parents(one: Import) -> list[str]:
    """Return the packages whose ``__init__`` an import runs on its way, its own ones apart."""
    parts = one.imported.split(".")
    parents = [".".join(parts[:count]) for count in range(1, len(parts))]
    return [name for name in parents if not f"{one.importer}.".startswith(f"{name}.")]


def shortest(arrows: dict[str, dict[str, str]], start: str, end: str) -> list[str]:
    """Return the shortest way along the arrows, both ends included; empty: there is none."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        ways += [[*way, step] for step in arrows.get(way[-1], {}) if step not in seen]
        seen |= set(arrows.get(way[-1], {}))
    return []


def upward_imports(package: Package) -> list[str]:
    """Name every import of a higher floor, of a stranger, or by a module that stands alone."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    offenders = []
    for one in package.imports:
        above, below = one.importer.partition(".")[0], one.imported.partition(".")[0]
        if above not in floor or below not in floor:
            unknown = above if above not in floor else below
            offenders.append(f"{one.where}: {unknown} has no floor; give it one in tests/house.py")
        elif above in ALONE and one.imported not in ALONE[above]:
            offenders.append(f"{one.where}: {above} stands alone; it may not import {one.imported}")
        elif floor[below] > floor[above]:
            offenders.append(
                f"{one.where}: {one.importer} (floor {floor[above]}) imports {one.imported} "
                f"(floor {floor[below]}); hand it in, or move it down"
            )
        elif above != below and {above, below} in STRANGERS:
            offenders.append(
                f"{one.where}: {above} and {below} do not know each other; hand in what is needed"
            )
    return offenders
