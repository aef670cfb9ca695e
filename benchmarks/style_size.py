"""Size: bytes of the bundles that ship, and of those of them that style transfer is made of."""

from __future__ import annotations

import results

from triptych import bundle

BAR = 20_000_000  # bytes of style transfer
STYLE = ("style", "perceptual")  # the tasks of its bundles: what runs, and the judge of own styles


def main() -> None:
    """Measure, then write the section."""
    options = results.parser("Bytes of the bundles that ship.").parse_args()
    folder = bundle.shipped_folder()
    rows: list[tuple[str, str, int, str]] = []
    total, style = 0, 0
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = [p for p in place.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        found = bundle.open_bundle(place)
        rows.append((place.name, found.card.task, len(files), f"{size:,}"))
        total += size
        style += size if found.card.task in STYLE else 0
        results.card_metrics(options, found, {"size": (size, "bytes")})
    rows.append(("**all**", "", sum(count for _, _, count, _ in rows), f"{total:,}"))
    body = results.table(("bundle", "task", "files", "bytes"), rows)
    wanted = (
        f"Style transfer ({' and '.join(STYLE)}): {style:,} bytes, wanted under {BAR:,}: "
        f"{results.verdict(style < BAR)}."
    )
    results.publish(options, "Size of what ships", f"{body}\n\n{wanted}")


if __name__ == "__main__":
    main()
