"""Each rule of the house finds a made-up offender, and lets pass what is right."""

import house
import pytest


@pytest.fixture
def package(tmp_path):
    """Return a function that writes files of a package ``vqnp``, and reads it."""

    def write(files):
        for name, text in ({"__init__.py": ""} | files).items():
            path = tmp_path / "vqnp" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return house.Package(tmp_path / "vqnp")

    return write


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from vqnp.layers.conv import x", "from vqnp.layers.linear import y"),
        ("from .conv import x", "from . import linear"),
        ("import vqnp.layers.conv", "def f():\n    from vqnp.layers.linear import y"),
        ("from vqnp.layers import conv", "if TYPE_CHECKING:\n    from .linear import y"),
    ],
)
def test_a_circle_is_found(package, first, second):
    made = package({"layers/__init__.py": "", "layers/linear.py": first, "layers/conv.py": second})
    (offender,) = house.circles(made)
    assert offender.startswith("vqnp/layers/")
    assert "circle layers." in offender


def test_a_circle_through_a_folder_is_found(package):
    inside = {"layers/__init__.py": "from vqnp.layers.conv import x", "layers/conv.py": ""}
    assert not house.circles(package(inside))
    (offender,) = house.circles(package(inside | {"layers/conv.py": "from vqnp.layers import x"}))
    assert "circle layers → layers.conv → layers" in offender
    below = {"layers/conv.py": "import vqnp.fast.line", "fast/line.py": "import vqnp.layers.relu"}
    (offender,) = house.circles(package(inside | below | {"layers/relu.py": ""}))
    assert "fast.line → layers → layers.conv → fast.line" in offender


@pytest.mark.parametrize(
    ("importer", "line", "says"),
    [
        ("losses.py", "from vqnp.models import VQVAE", "losses (floor 1) imports models (floor 2)"),
        ("losses.py", "from vqnp import VQVAE", "losses (floor 1) imports models (floor 2)"),
        ("losses.py", "def f():\n    import vqnp.cli", "imports cli"),
        ("layers/conv.py", "import vqnp.quantize.ema", "do not know each other"),
        ("quantize/ema.py", "from ..layers import conv", "do not know each other"),
        ("tiny.py", "from vqnp.losses import mse", "tiny stands alone"),
        ("kitchen.py", "from vqnp.losses import mse", "kitchen has no floor"),
    ],
)
def test_an_upward_import_is_found(package, importer, line, says):
    rooms = ["models.py", "cli.py", "losses.py", "layers/conv.py", "quantize/ema.py"]
    stub = {"__init__.pyi": "from .models import VQVAE as VQVAE"}
    (offender,) = house.upward_imports(package(dict.fromkeys(rooms, "") | stub | {importer: line}))
    assert offender.startswith(f"vqnp/{importer}:")
    assert says in offender


def test_downward_imports_are_free(package):
    files = {
        "models.py": "from vqnp.losses import mse\nimport vqnp.quantize.ema\nimport numpy",
        "quantize/ema.py": "from vqnp.fast import line",
        "tiny.py": "from vqnp.data.gaussians import clusters",
        "fast/line.py": "",
        "losses.py": "",
        "data/gaussians.py": "",
    }
    assert not house.upward_imports(package(files))


def test_a_public_name_without_a_docstring_is_found(package):
    files = {
        "quantize/__init__.py": "from .ema import EMA, f, K\n__all__ = ['EMA', 'K', 'f']",
        "quantize/ema.py": (
            "K = 3\ndef f(): ...\nclass Base:\n    def told(self):\n        'Tell.'\n"
            "class EMA(Base):\n    'It averages.'\n    def told(self): ...\n"
            "    def untold(self): ...\n    def _private(self): ...\n"
        ),
        "__init__.pyi": "from . import data as data\nfrom .losses import mse as mse",
        "data/__init__.py": "",
        "losses.py": "def mse(): ...",
    }
    offenders = sorted(house.undocumented(package(files)))
    assert [each.split(" has")[0] for each in offenders] == [
        "vqnp/data/__init__.py: data",
        "vqnp/losses.py:1: mse",
        "vqnp/quantize/ema.py:2: quantize.f",
        "vqnp/quantize/ema.py:9: quantize.EMA.untold",
    ]


WHOLE = """def mse(x):
    '''Return the error.

    Parameters
    ----------
    x : array (N, D)

    Returns
    -------
    float

    Example
    -------
    >>> mse(1)
    '''
"""


@pytest.mark.parametrize(
    ("without", "lacks"),
    [
        ("nothing", None),
        ("Parameters", "Parameters"),
        ("Returns", "Returns"),
        ("Example", "an Example with >>>"),
        (">>>", "an Example with >>>"),
    ],
)
def test_a_docstring_that_lacks_a_section_is_found(package, without, lacks):
    files = {"losses.py": WHOLE.replace(without, "Note"), "__init__.pyi": "from .losses import mse"}
    expected = [f"vqnp/losses.py:1: the docstring of mse lacks {lacks}"] if lacks else []
    assert house.incomplete(package(files)) == expected


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ("x: int = 3", True),
        ("def __init__(self, x): ...", True),
        ("def __init__(self): ...", False),
        ("x: ClassVar[int] = 3", False),
        ("x: int = field(init=False)", False),
    ],
)
def test_a_class_needs_parameters_if_its_constructor_takes_some(package, body, needs):
    text = f"class A:\n    '''Be.\n\n    Example\n    -------\n    >>> A\n    '''\n    {body}\n"
    files = {"losses.py": text, "__init__.pyi": "from .losses import A as A"}
    expected = ["vqnp/losses.py:1: the docstring of A lacks Parameters"] if needs else []
    assert house.incomplete(package(files)) == expected


def words(count):
    return "One " + "word " * (count - 2) + "ends."


def test_a_long_sentence_of_a_docstring_is_found(package):
    text = f"'''{words(30)} {words(4)}\n\n    x = 1  {words(40)}\n\n{words(31)}'''"
    (offender,) = house.long_sentences(package({"losses.py": text}))
    assert offender.startswith("vqnp/losses.py:5: 31 words, at most 30")


def test_a_parameter_is_read_and_an_example_is_not(package):
    lines = [
        *("'''Do.", "", "Parameters", "----------"),
        *("x : int", f"    {words(31)}", "", f"    {words(32)}", f"y : {words(40)}", ""),
        *("Example", "-------", ">>> f()", words(40), "'''"),
    ]
    offenders = house.long_sentences(package({"losses.py": "\n".join(lines)}))
    assert [each.split(" words")[0] for each in offenders] == [
        "vqnp/losses.py:6: 31",
        "vqnp/losses.py:8: 32",
    ]


def test_no_sentence_crosses_an_item(package):
    item = f"- {words(20)[:-1]}"  # without a stop
    text = f"'''Do:\n\n{item}\n{item}\n\nDo:\n\n1. {item}\n2. {item}\n'''"
    assert not house.long_sentences(package({"losses.py": text}))


def test_a_long_sentence_of_a_page_is_found(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(
        f"# Title\n{words(30)}\n\n```sh\n{words(50)}\n```\n- {words(20)}\n- {words(20)}\n\n"
        f"| {words(20)} | {words(20)} |\n|---|---|\n| a | {words(31)} |\n\n"
        f'<img src="a.png" alt="{words(32)}">\n{words(10)}\n{words(33)[:-1]}\n'
    )
    found = house.long_markdown_sentences(page)
    assert [each.split(" words")[0] for each in found] == [
        "README.md:12: 31",
        "README.md:14: 32",
        "README.md:15: 33",
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It is 0.74 wide. It is 3. It fits.", 3),
        ("See Łańcucki et al. (2020) for it. Then read on.", 2),
        ("Take two, e.g. a sort, i.e. eq. 3 of Fig. 4. Go on.", 2),
        ("Read tiny.py first. Then `a.b.` and ``c. d``. End.", 3),
        ("Sorts, sums, etc. are fast. So are scans, etc. They are.", 3),
        ("By A. van den Oord and O. Vinyals. The codebook has K. It is (K, D).", 3),
        ("Does it? It does! “It does.” (It does.) *It does.*", 5),
        ("Tokens 1, 2, ... and 5 are used. faiss is slower.", 2),
        ("See [the page. It](https://a.b/c.d) and https://a.b/c.", 2),
    ],
)
def test_sentences_end_where_they_end(text, pieces):
    assert len(house.sentences(text)) == pieces, house.sentences(text)


@pytest.mark.parametrize(
    ("sentence", "count"),
    [
        ("A codebook of 128 tokens is used.", 7),
        ("The update M = γ M + (1 − γ) m holds.", 4),
        ("The cost is O(N K D), 2 × faster than before.", 8),
        ("Sums are of shape `(K, D)` or ``n + 1`` long.", 8),
        ("A bound — a loose one – on K, i.e. on tokens.", 10),
        ("The step takes 0.42 to 0.54 ms.", 7),
        ("Perplexity is 2^H, 8 → 4, at most K.", 7),
    ],
)
def test_words_are_counted(sentence, count):
    (plain,) = house.sentences(sentence)
    assert house.count_words(plain) == count


def test_a_long_line_is_found(tmp_path):
    (tmp_path / "a.py").write_text("x" * 100 + "\n" + "x" * 101 + "\n")
    (offender,) = house.long_lines([tmp_path / "a.py"], tmp_path)
    assert offender.startswith("a.py:2: 101 columns")
    page = tmp_path / "b.md"
    page.write_text(f"{'x' * 101}\n| {'x' * 101}\n[a](b) {'x' * 101}\n```sh\n{'x' * 101}\n```\n")
    assert house.long_markdown_lines(page) == ["b.md:1: 101 columns, at most 100"]


def test_statements_are_counted_without_docstrings(package):
    text = "'''Text.'''\nimport numpy\ndef f():\n    'Text.'\n    x = 1; y = 2\n    return x, 'a'\n"
    assert house.count_statements(package({"losses.py": text})) == 5
