"""Converts documents with a peer for `docstream bench documents`: a path on standard input, a line of JSON on standard output.

The peer is markitdown, pymupdf4llm or kreuzberg with its own defaults, Markdown asked for. CPU seconds are this process's and those of the
children it has waited for."""

import json
import resource
import sys


def cpu():
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        r = resource.getrusage(who)
        total += r.ru_utime + r.ru_stime
    return total


def markitdown():
    from markitdown import MarkItDown

    return lambda path, m=MarkItDown(): m.convert(path).text_content


def pymupdf4llm():
    import pymupdf4llm as library

    return lambda path: library.to_markdown(path, show_progress=False)


def kreuzberg():
    from kreuzberg import ExtractionConfig, extract_file_sync

    return lambda path, c=ExtractionConfig(use_cache=False, output_format="markdown"): extract_file_sync(path, config=c).content


PEERS = {"markitdown": markitdown, "pymupdf4llm": pymupdf4llm, "kreuzberg": kreuzberg}


def main():
    say, sys.stdout = sys.stdout, sys.stderr  # libraries print
    convert = PEERS[sys.argv[1]]()
    for line in sys.stdin:
        before, said = cpu(), {}
        try:
            said["text"] = convert(line.rstrip("\n"))
        except Exception as e:  # a peer may refuse a file: that is a result
            said["error"] = f"{type(e).__name__}: {e}"
        said["cpu"] = cpu() - before
        print(json.dumps(said), file=say, flush=True)


if __name__ == "__main__":
    main()
