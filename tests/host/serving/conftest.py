import shutil

import pytest

from tests.host.serving.servers import Server


@pytest.fixture(scope="session")
def model(random_model, tmp_path_factory):
    """The file of a small model whose name is random."""
    path = random_model(layers=1, dim=64, hidden_dim=96, heads=2, kv_heads=1, vocab=320, context=256)
    return shutil.copy(path, tmp_path_factory.mktemp("served") / "random.gguf")


@pytest.fixture
def start(model):
    """Start servers that answer with the golden model, and end them."""
    servers = []

    def start(ready=True, **options):
        values = {"backend": "golden", "config": "tiny", "model": model, "max_tokens": 8}
        servers.append(Server(**values | options))
        if ready:
            servers[-1].wait()
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def server(model):
    """One server for all tests of a module that leave it as it is."""
    server = Server(backend="golden", config="tiny", model=model, max_tokens=8)
    server.wait()
    yield server
    server.close()
