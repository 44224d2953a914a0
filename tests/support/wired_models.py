"""Files of made-up models that several accounts offer, for tests that name their folder as CATALOG_DIR."""

from collections.abc import Iterable
from pathlib import Path

from tests.conftest import CATALOG_DIR

BASE = "acme-tokens-1-t2v"  # the made-up model whose fields and prices the others have


def write(folder: Path, model: str, wire: str, offers: Iterable[str]) -> str:
    """Write the file of a model, and return the folder. Each of the `offers` is an account, or ACCOUNT/WIRE.

    An account has the model under the id MODEL-at-ACCOUNT.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (CATALOG_DIR / f"{BASE}.toml").read_text()
    text = text.replace(f'route = "/v3/async/{BASE}"\n', "").replace('wire = "novita-async"', f'wire = "{wire}"')
    text = text.replace(f'id = "{BASE}"', f'id = "{model}"')
    (folder / f"{model}.toml").write_text(text + "".join(_offer(model, *offer.split("/")) for offer in offers))
    return str(folder)


def _offer(model: str, account: str, wire: str = "") -> str:
    """Return the table of an offer."""
    named = f'upstream_model = "{model}-at-{account}"'
    if wire == "novita-async":
        named = f'route = "/v3/async/{model}"'
    return f'\n[[offers]]\naccount = "{account}"\n{named}\n' + (f'wire = "{wire}"\n' if wire else "")
