"""Export a basis of a study: its dictionary and codes as .npz, or a table of its latents."""

from pathlib import Path
from typing import Any

import numpy as np

from core.bases.basis import PARTS, Basis, basis_named, codes_of, latents_table
from core.common.formatting import json_text
from core.common.inside import check_output_file
from core.export.files import WRITERS, complete_file, write_about
from core.export.provenance import provenance
from core.export.sae_lens import write_sae_lens
from core.store import Study

EXTENSIONS = (".npz", ".safetensors", *WRITERS)


def export_basis(study: Study, name: str, out: str | Path) -> int:
    """Write a basis to a file, which appears only when complete.

    Args:
        out: .npz for all arrays of the dictionary (`decoder` (M, r), `offset` (r,), its encoder …), the codes
            of the images in the order of `images` as CSR (`indptr`, `indices`, `data`; codes @ decoder +
            offset is the reconstruction), and `card`, a JSON text; `basis --load` reads it. .safetensors for
            the dictionary as SAELens loads it. Another extension for the table of latents.
    Returns:
        the number of latents.
    Raises:
        SettingsError: the study has no such basis, the extension is another, or SAELens has no such codes.
    """
    out, basis = Path(out), basis_named(study, name)
    ending = check_output_file(out, "a basis", EXTENSIONS)
    table = latents_table(study, basis)
    facts = provenance(study) | {"basis": name}
    if ending == ".safetensors":
        write_sae_lens(study, basis, _parts(study, basis), out)
        return len(table)
    write_about(out, facts)
    with complete_file(out) as temporary:
        if ending != ".npz":
            table.attrs = {**facts}
            WRITERS[ending](table, temporary)
            return len(table)
        codes = codes_of(study, basis)
        parts: dict[str, Any] = {**_parts(study, basis)}
        parts |= {"indptr": codes.indptr, "indices": codes.features, "data": codes.values}
        with open(temporary, "wb") as file:
            np.savez(file, **parts, card=np.array(json_text(basis.card)))
    return len(table)


def _parts(study: Study, basis: Basis) -> dict[str, np.ndarray]:
    """The arrays of the dictionary that the study has."""
    return {part: study.vector(basis.item(part)) for part in PARTS if study.has(basis.item(part))}
