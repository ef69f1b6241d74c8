"""Single quantizers as one writes them in PyTorch, and those of ``vector-quantize-pytorch``."""

import pytest

from vqnp.testing import (
    check_cosine,
    check_fsq,
    check_lfq,
    check_product,
    check_residual,
    check_rotation,
    check_simvq,
    torch_vjp,
)

torch = pytest.importorskip("torch", reason="compares with PyTorch")
F = torch.nn.functional


@pytest.fixture(params=["float64", "float32"])
def options(request):
    return {"arrays": "torch", "dtype": request.param, "raises": False}


def straight(z, value):
    return z + (value - z).detach()


def search(points, tokens):
    return (points[:, None] - tokens).square().sum(dim=2).argmin(dim=1)


def without_codes(forward):
    """Return ``vjp`` of a forward that returns (vectors, codes, loss), by autograd."""

    def vjp(*args):
        *inputs, dvectors = args
        pull = torch_vjp(lambda *given: forward(*given)[::2])
        return pull(*inputs, (dvectors, dvectors.new_ones(())))

    return vjp


def test_fsq(options):
    def bounded(z, levels):
        count = torch.tensor(levels, dtype=z.dtype)
        h, o = (count - 1) * (1 - 1e-3) / 2, 0.5 * (1 - count % 2)
        return torch.tanh(z + torch.atanh(o / h)) * h - o, count // 2

    def vectors(z, levels):
        b, half = bounded(z, levels)
        return straight(b, b.round()) / half

    def forward(z, levels):
        b, half = bounded(z, levels)
        places = torch.tensor([1, *levels[:-1]]).cumprod(dim=0)
        return vectors(z, levels), ((b.round() + half).long() * places).sum(dim=1)

    def decode(codes, levels):
        columns = []
        for count in levels:
            columns.append((codes % count - count // 2) / (count // 2))
            codes = codes // count
        return torch.stack(columns, dim=1)

    result = check_fsq(forward, torch_vjp(vectors), decode, **options)
    assert result.passed, str(result)


def test_lfq(options):
    def forward(z):
        up = z > 0
        return straight(z, 2.0 * up - 1), (up * 2 ** torch.arange(z.shape[1])).sum(dim=1)

    def gap(z, sharpness, diversity):
        bits = torch.arange(2 ** z.shape[1])[:, None] >> torch.arange(z.shape[1]) & 1
        log_p = (2 * sharpness * z @ (2.0 * bits - 1).to(z).T).log_softmax(dim=1)
        log_mean = log_p.exp().mean(dim=0).log()
        sample = -(log_p.exp() * log_p).sum(dim=1).mean()
        return sample + diversity * (log_mean.exp() * log_mean).sum()

    def entropy(*args):
        value = gap(*args)
        return value, torch_vjp(gap)(*args, torch.ones_like(value))[0]

    result = check_lfq(forward, torch_vjp(lambda z: forward(z)[0]), entropy, **options)
    assert result.passed, str(result)


def test_residual(options):
    def forward(z, tokens, beta, trap=""):
        rest, passed, loss, codes = z, torch.zeros_like(z), 0 * z.sum(), []
        for stage in tokens.detach():
            codes.append(search(rest, stage))
            token = stage[codes[-1]]
            pulled = rest.detach() if trap == "rest" else rest
            loss = loss + beta * F.mse_loss(pulled, token)
            passed = passed + (straight(rest, token) if trap == "sum" else token)
            rest = rest - (straight(rest, token) if trap == "subtract" else token)
        out = passed if trap == "sum" else straight(z, passed)
        return out, torch.stack(codes, dim=1), loss / len(tokens)

    def update(state, z, decay):
        _, codes, _ = forward(z, state["tokens"], 0.0)
        sums = decay * state["sums"]
        for t, chosen in enumerate(codes.T):
            sums[t].index_add_(0, chosen, (1 - decay) * z)
            z = z - state["tokens"][t][chosen]
        return {"sums": sums}

    found = {}
    for trap in "", "sum", "subtract", "rest":
        vjp = without_codes(lambda *given, trap=trap: forward(*given, trap))
        result = check_residual(forward, vjp, update, **options)
        found[trap] = result.passed or [suspect.name for suspect in result.suspects]
    assert found == {
        "": True,
        "sum": ["once-a-stage"],
        "subtract": ["later-commitments-dead"],
        "rest": ["rest-detached"],
    }


def test_product(options):
    def forward(z, tokens, beta):
        parts = z.unflatten(1, (len(tokens), -1)).unbind(dim=1)
        codes = [search(*pair) for pair in zip(parts, tokens.detach(), strict=True)]
        chosen = torch.cat([t[k] for t, k in zip(tokens.detach(), codes, strict=True)], dim=1)
        return straight(z, chosen), torch.stack(codes, dim=1), beta * F.mse_loss(z, chosen)

    result = check_product(forward, without_codes(forward), **options)
    assert result.passed, str(result)


def test_cosine(options):
    def forward(z, tokens, beta):
        norms = z.norm(dim=1, keepdim=True)
        direction = torch.where(norms > 0, z / norms.clamp(1e-30), 0)
        tokens = F.normalize(tokens.detach())
        codes = (direction @ tokens.T).argmax(dim=1)
        return (
            straight(direction, tokens[codes]),
            codes,
            beta * F.mse_loss(direction, tokens[codes]),
        )

    result = check_cosine(forward, without_codes(forward), **options)
    assert result.passed, str(result)


def test_cosine_with_a_clamp_is_named(options):
    def forward(z, tokens, beta):
        direction, tokens = F.normalize(z, eps=1e-6), F.normalize(tokens.detach(), eps=1e-6)
        codes = (direction @ tokens.T).argmax(dim=1)
        return (
            straight(direction, tokens[codes]),
            codes,
            beta * F.mse_loss(direction, tokens[codes]),
        )

    result = check_cosine(forward, without_codes(forward), **options)
    assert [suspect.name for suspect in result.suspects] == ["length-clamped"]


def test_rotation(options):
    def forward(z, tokens):
        u, v = (F.normalize(rows.detach()) for rows in (z, tokens))
        r = F.normalize(u + v)
        scale = tokens.norm(dim=1, keepdim=True) / z.norm(dim=1, keepdim=True).clamp(1e-30)
        along = lambda a, b: (a * b).sum(dim=1, keepdim=True)  # noqa: E731
        turned = scale.detach() * (z - 2 * r * along(r, z) + 2 * v * along(u, z))
        as_it_is = ((z == tokens) | (z == 0)).all(dim=1, keepdim=True)
        return torch.where(as_it_is, straight(z, tokens), turned)

    result = check_rotation(forward, torch_vjp(forward), **options)
    assert result.passed, str(result)


def test_simvq(options):
    def forward(z, cloud, weight, bias, beta):
        tokens = cloud.detach() @ weight + bias
        codes = search(z, tokens)
        chosen = tokens[codes]
        loss = beta * F.mse_loss(z, chosen.detach()) + F.mse_loss(z.detach(), chosen)
        return straight(z, chosen), codes, loss

    def decode(codes, cloud, weight, bias):
        return (cloud @ weight + bias)[codes]

    result = check_simvq(forward, without_codes(forward), decode, **options)
    assert result.passed, str(result)
