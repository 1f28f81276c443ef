"""Reads page images with a peer for `docstream bench ocr`: a path on standard input, a line of JSON on standard output.

The peer is rapidocr with the models of the very files that Docstream uses, or faster-paddle with those it brings, one thread each. CPU
seconds are this process's own, reading the file included."""

import json
import resource
import sys
from pathlib import Path


def cpu():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def rapidocr(models, size):
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(1)

    words = models / ("ppocrv6-tiny-dict.txt" if size == "tiny" else "ppocrv6-dict.txt")
    read = RapidOCR(params={
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Global.log_level": "error",
        "Det.model_path": str(models / f"ppocrv6-{size}-det.onnx"),
        "Rec.model_path": str(models / f"ppocrv6-{size}-rec.onnx"),
        "Rec.rec_keys_path": str(words),
    })
    return lambda path: "\n".join(read(path).txts or ())


def faster_paddle(_models, size):
    from faster_paddle import OcrEngine

    engine = OcrEngine(model_size=size, threads=1)
    return lambda path: engine.ocr(Path(path).read_bytes())["text"]


READERS = {"rapidocr": rapidocr, "faster-paddle": faster_paddle}


def main():
    say, sys.stdout = sys.stdout, sys.stderr  # libraries print
    kind, _, size = sys.argv[2].rpartition("-")
    read = READERS[kind](Path(sys.argv[1]), size)
    for line in sys.stdin:
        before = cpu()
        text = read(line.rstrip("\n"))
        print(json.dumps({"text": text, "cpu": cpu() - before}), file=say, flush=True)


if __name__ == "__main__":
    main()
