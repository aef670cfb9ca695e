"""Size: bytes of everything in onnx_exports, which is all that ships beside the code."""

from __future__ import annotations

import results

from triptych import bundle

BAR = 20_000_000  # bytes


def main() -> None:
    """Measure, then write the section."""
    options = results.parser("Bytes of the bundles that ship.").parse_args()
    folder = bundle.shipped_folder()
    rows: list[tuple[str, int, str]] = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = [p for p in place.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        rows.append((place.name, len(files), f"{size:,}"))
        found = bundle.open_bundle(place)
        results.card_metrics(options, found, {"size": (size, "bytes")})
    total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    rows.append(("**all**", sum(count for _, count, _ in rows), f"{total:,}"))
    body = results.table(("bundle", "files", "bytes"), rows)
    wanted = f"Wanted under {BAR:,} bytes: {results.verdict(total < BAR)}."
    results.publish(options, "Size of what ships", f"{body}\n\n{wanted}")


if __name__ == "__main__":
    main()
