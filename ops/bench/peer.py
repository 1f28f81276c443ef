"""Reads page images with a peer for `docstream bench ocr`: a path on standard input, a line of JSON on standard output.

The peer is rapidocr with the recognition models of the very files that Docstream uses, one thread. CPU seconds are this process's own,
reading the file included."""

import json
import resource
import sys
from pathlib import Path


def cpu():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def reader(models, size):
    from rapidocr import RapidOCR

    words = models / ("ppocrv6-tiny-dict.txt" if size == "tiny" else "ppocrv6-dict.txt")
    return RapidOCR(params={
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Global.log_level": "error",
        "Det.model_path": str(models / f"ppocrv6-{size}-det.onnx"),
        "Rec.model_path": str(models / f"ppocrv6-{size}-rec.onnx"),
        "Rec.rec_keys_path": str(words),
    })


def main():
    import cv2

    cv2.setNumThreads(1)
    say, sys.stdout = sys.stdout, sys.stderr  # libraries print
    read = reader(Path(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        before = cpu()
        got = read(line.rstrip("\n"))
        text = "\n".join(got.txts or ())
        print(json.dumps({"text": text, "cpu": cpu() - before}), file=say, flush=True)


if __name__ == "__main__":
    main()
