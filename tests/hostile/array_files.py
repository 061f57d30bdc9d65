"""Small files of images and sequences as people have them, for the lines of arrays.jsonl."""

import io
import zipfile
from pathlib import Path

import numpy as np

ROWS = 40
SITE = np.arange(ROWS) % 4
Y = np.arange(ROWS) // 4 % 2


def arrays(tmp: Path) -> None:
    """Writes all of them into a folder."""
    for name, change in changes().items():
        told = {"images": grey(), "y": Y, "site": SITE} | change
        np.savez(tmp / f"{name}.npz", **{k: v for k, v in told.items() if v is not None})
    np.save(tmp / "single.npy", grey())
    (tmp / "text.npz").write_text("y,site\n1,2\n")
    with zipfile.ZipFile(tmp / "letters.npz", "w") as archive:
        archive.writestr("images.npy", b"no array")
    header = io.BytesIO()
    shape = (10**6, 10**6, 10)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(tmp / "endless.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(100))
    whole = (tmp / "plain.npz").read_bytes()
    (tmp / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name, text in tables().items():
        (tmp / name).write_text(text)


def grey(shape=(8, 8)):
    """(ROWS, *shape) uint8, each image another."""
    return np.random.default_rng(0).integers(0, 256, (ROWS, *shape), dtype=np.uint8)


def changes():
    """What differs from a plain file of images: arrays by the name of the file."""
    rng = np.random.default_rng(1)
    x = grey()
    name = np.array(["alive", "dead"])[Y]
    gap = np.where(np.arange(ROWS) == 5, np.nan, Y)
    both = np.zeros(ROWS, [("age", "f4"), ("dead", "i4")])
    return {
        "plain": {},
        "float01": {"images": rng.random((ROWS, 8, 8))},
        "float255": {"images": x.astype(np.float32)},
        "zscores": {"images": rng.normal(size=(ROWS, 8, 8))},
        "nan": {"images": np.where(x == 0, np.nan, x / 255)},
        "uint16": {"images": x.astype(np.uint16) * 256},
        "int64": {"images": x.astype(np.int64)},
        "bool": {"images": x > 128},
        "zero_one": {"images": (x > 128).astype(np.uint8)},
        "channels_first": {"images": grey((3, 8, 8))},
        "rgba": {"images": grey((8, 8, 4))},
        "grey_alpha": {"images": grey((8, 8, 2))},
        "volumes": {"images": grey((8, 8, 8))},
        "flat": {"images": grey((64,))},
        "no_pixels": {"images": np.zeros((ROWS, 0, 0), np.uint8)},
        "no_images": {"images": x[:0], "y": Y[:0], "site": SITE[:0]},
        "black": {"images": x * 0},
        "scalar": {"images": np.uint8(3)},
        "objects": {"images": np.array([[[0, None]]] * ROWS, object)},
        "other_name": {"images": None, "x": x},
        "twice": {"images": np.concatenate([x[:20], x[:20]])},
        "rgb": {"images": grey((8, 8, 3)), "patient": SITE + 4 * (np.arange(ROWS) // 8)},
        "one_channel": {"images": grey((8, 8, 1))},
        "pixel": {"images": (np.arange(ROWS)[:, None, None] * 6).astype(np.uint8)},
        "column": {"y": Y[:, None], "site": SITE[:, None]},
        "bytes": {"y": name.astype("S5")},
        "umlauts": {"y": np.where(Y, "groß", "klein")},
        "latin_bytes": {"y": np.array([t.encode("latin-1") for t in np.where(Y, "groß", "klein")])},
        "text": {"y": name},
        "true_false": {"y": name == "dead"},
        "onehot": {"y": np.eye(2, dtype=int)[Y]},
        "two_columns": {"y": np.stack([Y, SITE], 1)},
        "short": {"y": Y[:39]},
        "long": {"site": np.append(SITE, 0)},
        "missing_label": {"y": gap},
        "missing_text": {"y": np.where(np.arange(ROWS) == 5, "NA", name)},
        "code_label": {"y": np.where(np.arange(ROWS) % 10 == 3, -999, Y)},
        "object_label": {"y": np.array([0, None] * 20, object)},
        "structured": {"y": both},
        "complex": {"y": Y * 1j},
        "dates": {"y": np.full(ROWS, "2020-01-01", "M8[D]")},
        "one_class": {"y": Y * 0},
        "case": {"y": np.where(Y, np.where(SITE == 0, "Dead", "dead"), "alive")},
        "two_sites": {"site": SITE % 2},
        "missing_site": {"site": np.where(np.arange(ROWS) == 7, "", SITE.astype(str))},
        "cube_label": {"y": np.zeros((ROWS, 2, 2))},
        "extra": {"age": np.arange(ROWS), "notes": name},
    }  # fmt: skip


def _dna(rng, length):
    return "".join(rng.choice(list("ACGT"), length))


def tables():
    """Files of sequences by name."""
    rng = np.random.default_rng(2)
    dna = [_dna(rng, 40) for _ in range(ROWS)]
    protein = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 30)) for _ in range(ROWS)]

    def table(seqs, **change):
        seqs = [change.get(f"row{i + 1}", seq) for i, seq in enumerate(seqs)]
        rows = zip(seqs, Y.tolist(), SITE.tolist(), strict=True)
        return "seq\ty\ttf\n" + "".join(f"{s}\t{y}\t{t}\n" for s, y, t in rows)

    pairs = str.maketrans("ACGT", "TGCA")
    turned = [dna[i - 1].translate(pairs)[::-1] if i % 2 else seq for i, seq in enumerate(dna)]
    short = [seq[:12] if i < 2 else seq for i, seq in enumerate(dna)]
    short[1] = short[0].translate(pairs)[::-1]
    fasta = "".join(f">peak{i}\n{seq}\n" for i, seq in enumerate(dna))
    words = {"NA": "NA", "nan": "nan", "none": "None", "dot": ".", "slash": "N/A", "empty": "",
             "null": "NULL", "unknown": "unknown", "dash": "-"}  # fmt: skip
    marks = {"gap": "ACG--TAC", "stop": "ACGT*", "blank": "ACG TAC", "digits": "1ACGT60ACGT",
             "header": ">peak1", "umlaut": "ACGÄ", "unknown_letters": "NNNNNNNNNN", "zero": "0",
             "sharp": "ACGß"}  # fmt: skip
    found = {f"seq_{name}.tsv": table(dna, row4=text, row14=text) for name, text in
             (words | marks).items()}  # fmt: skip
    marks = {"stop": "MKV*", "gap": "MK-V", "sharp": "MKß", "xxx": "XXXXX"}
    found |= {f"protein_{name}.tsv": table(protein, row4=text, row14=text) for name, text in
              (words | marks).items()}  # fmt: skip
    lower = [seq.lower() if i % 2 else seq for i, seq in enumerate(dna)]
    return found | {
        "dna.tsv": table(dna),
        "protein.tsv": table(protein),
        "rna.tsv": table([seq.replace("T", "U") for seq in dna]),
        "half_rna.tsv": table([s.replace("T", "U") if i % 2 else s for i, s in enumerate(dna)]),
        "lower.tsv": table(lower),
        "iupac.tsv": table(dna, row1=dna[0][:30] + "NNRYNNNNNN"),
        "unequal.tsv": table([seq[: 20 + i % 20] for i, seq in enumerate(dna)]),
        "strands.tsv": table(turned),
        "short_strands.tsv": table(short),
        "same.tsv": table([dna[i // 2] for i in range(ROWS)]),
        "one_protein.tsv": table(dna, row8="MKVLAAGIVGLQWERTYPMK"),
        "one_dna.tsv": table(protein, row8=dna[0]),
        "peaks.fasta": fasta,
        "peaks.csv": fasta,
        "reads.csv": "".join(f"@read{i}\n{seq}\n+\n{'I' * 40}\n" for i, seq in enumerate(dna)),
        "twice.tsv": table(dna).replace("seq\ty", "seq\tseq", 1),
    }
