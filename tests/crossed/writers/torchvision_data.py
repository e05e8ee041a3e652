"""Data sets as torchvision reads them, from small trees laid out as their archives are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb, save_all, tree

Lay = Callable[[Path], None]
Truth = Callable[[Path], list[Picture]]
FILES = ("samples", "imgs", "_samples", "_image_files", "_images", "images")
DOGS = ("n02085620-Chihuahua", "n02096051-Airedale", "n02111889-Samoyed")
SCENES = (
    "/a/abbey",
    "/a/airport_terminal",
    "/c/church/indoor",
    "/c/church/outdoor",
    "/t/train_station/platform",
)


def loaded(data_set: Any, split: str = "", names: Sequence[Any] | None = None, **known: str) -> list[Picture]:
    """What a data set of torchvision returns: pixels, names of classes, and where the files lie."""
    names = getattr(data_set, "classes", None) if names is None else names
    held = next((getattr(data_set, name) for name in FILES if hasattr(data_set, name)), None)
    pictures = []
    for number in range(len(data_set)):
        picture, target = data_set[number]
        place = "" if held is None else held[number]
        file = Path(str(place[0] if isinstance(place, tuple) else place)).name
        label = known.get("label", _name(target, names))
        pictures.append(Picture(rgb(picture), label, split, file))
    return pictures


def _name(target: Any, names: Sequence[Any] | None) -> str:
    if not names:
        return str(target)
    name = names[int(target)]
    return ", ".join(name) if isinstance(name, tuple) else str(name)


def both(make: Any, splits: Iterable[str], **names: Any) -> list[Picture]:
    return [one for split in splits for one in loaded(make(split=split), split, **names)]


def case(folder: Path, lay: Lay, truth: Truth, spec: str, **options: Any) -> WrittenData:
    """Lay out a tree below FOLDER/data and read it with torchvision."""
    root = folder / "data"
    root.mkdir()
    lay(root)
    return WrittenData(spec=f"{spec}", pictures=truth(root), **options)


def save_mat(path: Path, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, values)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def table(path: Path, rows: Sequence[dict[str, Any]], delimiter: str = ",") -> None:
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


# image folders


def image_folder(root: Path) -> None:
    tree(root, ["cat", "Dog", "hot dog", "zebra_fish"])


def image_folder_split(root: Path) -> None:
    tree(root / "train", ["cat", "dog", "owl"])
    tree(root / "val", ["cat", "dog", "owl"], 2, first=20)


def of_folders(root: Path, splits: Sequence[str] = ("train", "val")) -> list[Picture]:
    return [one for split in splits for one in loaded(datasets.ImageFolder(root / split), split)]


def deep_folder(root: Path) -> None:
    for number, (name, part) in enumerate([("cat", "one"), ("cat", "two"), ("dog", "one"), ("dog", "two")]):
        save_all([root / name / part / f"{part}{at}.png" for at in range(2)], first=2 * number)


def numbered_folder(root: Path) -> None:
    tree(root, [str(number) for number in range(12)], 2)


def imagenet_folder(root: Path) -> None:
    wnids = ["n01440764", "n02012849", "n03126707"]
    for at, split in enumerate(("train", "val")):
        places = [root / split / wnid / f"{wnid}_{n}.JPEG" for wnid in wnids for n in range(2)]
        save_pictures(places, first=10 * at)


def save_pictures(places: Sequence[Path], first: int = 0) -> None:
    """Save as JPEG whatever the case of the ending."""
    for number, place in enumerate(places, first):
        place.parent.mkdir(parents=True, exist_ok=True)
        drawn(number).save(place, "JPEG", quality=95)


def of_imagenet(root: Path) -> list[Picture]:
    """ImageNet's own names need its devkit; the folders are WordNet ids."""
    return of_folders(root)


def imagenette(root: Path) -> None:
    for at, split in enumerate(("train", "val")):
        names = list(datasets.Imagenette._WNID_TO_CLASS)[:4]
        places = [
            root / "imagenette2" / split / wnid / f"{split}_{wnid}_{n}.JPEG"
            for wnid in names
            for n in range(2)
        ]
        save_pictures(places, first=10 * at)
        for place in places:
            place.rename(place.with_suffix(".jpeg"))


def of_imagenette(root: Path) -> list[Picture]:
    return both(partial(datasets.Imagenette, root), ("train", "val"))


def caltech101(root: Path) -> None:
    base = root / "caltech101" / "101_ObjectCategories"
    for at, name in enumerate(["BACKGROUND_Google", "Faces_easy", "Motorbikes", "airplanes", "yin_yang"]):
        save_all([base / name / f"image_{n:04d}.jpg" for n in (1, 2, 3)], first=3 * at)


def of_caltech101(root: Path) -> list[Picture]:
    data_set = datasets.Caltech101(root)
    return loaded(data_set, names=data_set.categories)


def caltech256(root: Path) -> None:
    base = root / "caltech256" / "256_ObjectCategories"
    for at, name in enumerate(["001.ak47", "002.american-flag", "003.backpack"]):
        save_all([base / name / f"{at + 1:03d}_{n:04d}.jpg" for n in (1, 2, 3)], first=3 * at)


def of_caltech256(root: Path) -> list[Picture]:
    data_set = datasets.Caltech256(root)
    return loaded(data_set, names=data_set.categories)


def dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    for at, name in enumerate(["banded", "blotchy", "zigzagged"]):
        places = [base / "images" / name / f"{name}_{n:04d}.jpg" for n in range(6)]
        save_all(places, first=6 * at)
        for split, held in (("train1", places[:2]), ("val1", places[2:4]), ("test1", places[4:])):
            file = base / "labels" / f"{split}.txt"
            before = file.read_text() if file.exists() else ""
            write(file, before + "".join(f"{name}/{one.name}\n" for one in held))
    write(base / "imdb" / "imdb.mat", "")


def eurosat(root: Path) -> None:
    tree(root / "eurosat" / "2750", ["AnnualCrop", "Forest", "SeaLake"], ending=".jpg")


def fgvc(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    variants = ["707-320", "727-200", "F-16A/B"]
    write(data / "variants.txt", "".join(f"{one}\n" for one in variants))
    write(data / "families.txt", "Boeing 707\nBoeing 727\nF-16\n")
    write(data / "manufacturers.txt", "Boeing\nLockheed Corporation\n")
    save_all([data / "images" / f"{1000000 + n}.jpg" for n in range(18)])
    for at, split in enumerate(("train", "val", "test")):
        for level, names in (
            ("variant", variants),
            ("family", ["Boeing 707", "Boeing 727", "F-16"]),
            ("manufacturer", ["Boeing", "Boeing", "Lockheed Corporation"]),
        ):
            lines = [f"{1000000 + 6 * at + n} {names[n % 3]}\n" for n in range(6)]
            write(data / f"images_{level}_{split}.txt", "".join(lines))
    for level in ("variant", "family", "manufacturer"):
        held = [(data / f"images_{level}_{split}.txt").read_text() for split in ("train", "val")]
        write(data / f"images_{level}_trainval.txt", "".join(held))


def of_aircraft(
    root: Path, level: str = "variant", splits: Sequence[str] = ("train", "val", "test")
) -> list[Picture]:
    return both(partial(datasets.FGVCAircraft, root, annotation_level=level), splits)


def food101(root: Path) -> None:
    base = root / "food-101"
    names = ["apple_pie", "baby_back_ribs", "waffles"]
    lists: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    for at, name in enumerate(names):
        places = [base / "images" / name / f"{1000 * at + n}.jpg" for n in range(5)]
        save_all(places, first=5 * at)
        lists["train"][name] = [f"{name}/{one.stem}" for one in places[:3]]
        lists["test"][name] = [f"{name}/{one.stem}" for one in places[3:]]
    for split, held in lists.items():
        write(base / "meta" / f"{split}.json", json.dumps(held))
        write(base / "meta" / f"{split}.txt", "".join(f"{one}\n" for each in held.values() for one in each))
    write(base / "meta" / "classes.txt", "".join(f"{name}\n" for name in names))
    write(base / "meta" / "labels.txt", "Apple pie\nBaby back ribs\nWaffles\n")


def gtsrb(root: Path) -> None:
    base = root / "gtsrb"
    for at in range(3):
        places = [base / "GTSRB" / "Training" / f"{at:05d}" / f"00000_0000{n}.ppm" for n in range(3)]
        save_all(places, first=3 * at)
        rows = [{"Filename": one.name, "Width": 48, "Height": 40, "ClassId": at} for one in places]
        table(places[0].parent / f"GT-{at:05d}.csv", rows, ";")
    tests = [base / "GTSRB" / "Final_Test" / "Images" / f"{n:05d}.ppm" for n in range(6)]
    save_all(tests, first=20)
    rows = [{"Filename": one.name, "Width": 48, "ClassId": n % 3} for n, one in enumerate(tests)]
    table(base / "GT-final_test.csv", rows, ";")
    table(tests[0].parent / "GT-final_test.test.csv", [{"Filename": one.name} for one in tests], ";")


def of_gtsrb(root: Path) -> list[Picture]:
    return both(partial(datasets.GTSRB, root), ("train", "test"))


def inaturalist_2021(root: Path) -> None:
    names = [
        "00000_Animalia_Arthropoda_Insecta_Odonata_Libellulidae_Libellula_luctuosa",
        "00001_Animalia_Chordata_Aves_Passeriformes_Corvidae_Corvus_corax",
        "00002_Plantae_Tracheophyta_Magnoliopsida_Asterales_Asteraceae_Bellis_perennis",
    ]
    tree(root / "2021_train_mini", names, ending=".jpg")


def of_inaturalist(root: Path, version: str) -> list[Picture]:
    data_set = datasets.INaturalist(root, version)
    return loaded(data_set, names=data_set.all_categories)


def inaturalist_2018(root: Path) -> None:
    for at, name in enumerate(["Aves/0", "Aves/1", "Plantae/2"]):
        save_all([root / "2018" / name / f"{at}{n}.jpg" for n in range(3)], first=3 * at)


def inaturalist_2017(root: Path) -> None:
    for at, name in enumerate(["Aves/Corvus corax", "Aves/Pica pica", "Plantae/Bellis perennis"]):
        save_all([root / "2017" / name / f"{at}{n}.jpg" for n in range(3)], first=3 * at)


def pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    names = ["Abyssinian", "american_bulldog", "yorkshire_terrier"]
    lines = {"trainval": "", "test": ""}
    for at, name in enumerate(names):
        places = [base / "images" / f"{name}_{n}.jpg" for n in range(1, 6)]
        save_all(places, first=5 * at)
        for n, place in enumerate(places):
            split = "trainval" if n < 3 else "test"
            lines[split] += f"{place.stem} {at + 1} {1 + (at > 0)} {at + (at == 0)}\n"
            trimap = 2 - outlined(5 * at + n).astype(np.uint8)
            trimap[:2] = 3
            mask = base / "annotations" / "trimaps" / f"{place.stem}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(trimap).save(mask)
    for split, text in lines.items():
        write(base / "annotations" / f"{split}.txt", text)
    write(
        base / "annotations" / "list.txt",
        "#Image CLASS-ID SPECIES BREED ID\n" + lines["trainval"] + lines["test"],
    )


def of_pets(root: Path) -> list[Picture]:
    return both(partial(datasets.OxfordIIITPet, root), ("trainval", "test"))


def of_pets_with_masks(root: Path) -> list[Picture]:
    pictures = []
    for split in ("trainval", "test"):
        data_set = datasets.OxfordIIITPet(root, split, target_types=["category", "segmentation"])
        for picture, (target, trimap) in data_set:
            mask = np.asarray(trimap) == 1
            pictures.append(Picture(rgb(picture), data_set.classes[target], split, mask=mask))
    return pictures


def cars(root: Path) -> None:
    base = root / "stanford_cars"
    names = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "smart fortwo Convertible 2012"]
    kind = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    for split, first, n, file in (
        ("train", 0, 6, "devkit/cars_train_annos.mat"),
        ("test", 10, 6, "cars_test_annos_withlabels.mat"),
    ):
        places = [base / f"cars_{split}" / f"{at:05d}.jpg" for at in range(1, n + 1)]
        save_all(places, first=first)
        rows = [(1, 1 + at % 3, place.name) for at, place in enumerate(places)]
        save_mat(base / file, annotations=np.array(rows, dtype=kind))
    save_mat(base / "devkit" / "cars_meta.mat", class_names=np.array(names, dtype=object))


def of_cars(root: Path) -> list[Picture]:
    return both(partial(datasets.StanfordCars, root), ("train", "test"))


def sun397(root: Path) -> None:
    base = root / "SUN397"
    for at, name in enumerate(SCENES):
        save_all([base / name[1:] / f"sun_{at}{n}abcdef.jpg" for n in range(2)], first=2 * at)
    write(base / "ClassName.txt", "".join(f"{name}\n" for name in SCENES))


def country211(root: Path) -> None:
    for at, split in enumerate(("train", "valid", "test")):
        tree(root / "country211" / split, ["AD", "NA", "ZW"], 2, first=6 * at, ending=".jpg")


def of_country211(root: Path) -> list[Picture]:
    return both(partial(datasets.Country211, root), ("train", "valid", "test"))


def sst2(root: Path) -> None:
    for at, split in enumerate(("train", "valid", "test")):
        tree(root / "rendered-sst2" / split, ["negative", "positive"], first=6 * at)


def of_sst2(root: Path) -> list[Picture]:
    return both(partial(datasets.RenderedSST2, root), ("train", "val", "test"))


def places365(root: Path) -> None:
    write(root / "categories_places365.txt", "".join(f"{name} {at}\n" for at, name in enumerate(SCENES)))
    trains = [f"{name}/{n:08d}.jpg" for name in SCENES for n in (1, 2)]
    write(
        root / "places365_train_standard.txt", "".join(f"{one} {at // 2}\n" for at, one in enumerate(trains))
    )
    save_all([root / "data_256_standard" / one[1:] for one in trains])
    vals = [f"Places365_val_{n:08d}.jpg" for n in range(1, 11)]
    write(root / "places365_val.txt", "".join(f"{one} {(3 * at) % 5}\n" for at, one in enumerate(vals)))
    save_all([root / "val_256" / one for one in vals], first=20)


def of_places365(root: Path, splits: Sequence[str] = ("train-standard", "val")) -> list[Picture]:
    """Its lists are checked by md5, which small ones do not have."""

    class Small(datasets.Places365):
        def _check_integrity(self, file: str, md5: str, download: bool) -> bool:
            return True

    pictures = []
    for split in splits:
        data_set = Small(root, split, small=True)
        names = [name.split("/", 2)[2] for name in data_set.classes]  # "/a/abbey" without its letter
        pictures += loaded(data_set, split.partition("-")[0], names=names)
    return pictures


def flowers(root: Path) -> None:
    base = root / "flowers-102"
    save_all([base / "jpg" / f"image_{n:05d}.jpg" for n in range(1, 13)])
    save_mat(base / "imagelabels.mat", labels=np.array([[1 + 25 * (n % 3) for n in range(12)]]))
    save_mat(
        base / "setid.mat",
        trnid=np.array([[1, 2, 3, 4]]),
        valid=np.array([[5, 6, 7, 8]]),
        tstid=np.array([[9, 10, 11, 12]]),
    )


def of_flowers(root: Path) -> list[Picture]:
    class Small(datasets.Flowers102):
        _file_dict = {name: (file, None) for name, (file, _) in datasets.Flowers102._file_dict.items()}

    return both(partial(Small, root), ("train", "val", "test"))


def lfw(root: Path) -> None:
    base = root / "lfw-py"
    for at, name in enumerate(["Aaron_Eckhart", "George_W_Bush", "Zico"]):
        save_all([base / "lfw_funneled" / name / f"{name}_{n:04d}.jpg" for n in (1, 2, 3)], first=3 * at)
    write(base / "lfw-names.txt", "Aaron_Eckhart\t3\nGeorge_W_Bush\t3\nZico\t3\n")
    write(base / "peopleDevTrain.txt", "2\nAaron_Eckhart\t3\nGeorge_W_Bush\t3\n")
    write(base / "peopleDevTest.txt", "1\nZico\t3\n")


def of_lfw(root: Path) -> list[Picture]:
    class Small(datasets.LFWPeople):
        def _check_integrity(self) -> bool:
            return True

    pictures = []
    for split in ("train", "test"):
        data_set = Small(str(root), split)
        names = {number: name for name, number in data_set.class_to_idx.items()}
        pictures += loaded(data_set, names=[names[at] for at in range(len(names))])
    return pictures


def omniglot(root: Path) -> None:
    base = root / "omniglot-py" / "images_background"
    for at, name in enumerate(["Greek/character01", "Greek/character02", "Latin/character01"]):
        save_all([base / name / f"{at:04d}_{n:02d}.png" for n in (1, 2, 3)], first=3 * at)


def of_omniglot(root: Path) -> list[Picture]:
    class Small(datasets.Omniglot):
        def _check_integrity(self) -> bool:
            return True

    data_set = Small(root, loader=lambda path: Image.open(path).convert("RGB"))
    return loaded(data_set, names=data_set._characters)


def stl10(root: Path) -> None:
    base = root / "stl10_binary"
    base.mkdir()
    for split, n, first in (("train", 6, 0), ("test", 6, 10), ("unlabeled", 4, 20)):
        held = [np.asarray(drawn(first + at, width=96, height=96)).transpose(2, 1, 0) for at in range(n)]
        np.stack(held).tofile(base / f"{split}_X.bin")
        if split != "unlabeled":
            np.array([1 + at % 3 for at in range(n)], np.uint8).tofile(base / f"{split}_y.bin")
    write(base / "class_names.txt", "airplane\nbird\ncar\n")


def fer2013(root: Path) -> None:
    rows = []
    for number in range(9):
        grey = np.asarray(drawn(number, width=48, height=48).convert("L"))
        usage = ("Training", "PublicTest", "PrivateTest")[number // 3]
        rows.append({"emotion": number % 3, "pixels": " ".join(map(str, grey.ravel())), "Usage": usage})
    (root / "fer2013").mkdir()
    table(root / "fer2013" / "fer2013.csv", rows)


def voc(root: Path) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    names = [f"2007_{n:06d}" for n in range(8)]
    save_all([base / "JPEGImages" / f"{name}.jpg" for name in names])
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [200] * 759
    for kind in ("SegmentationClass", "SegmentationObject"):
        (base / kind).mkdir()
        for number, name in enumerate(names):
            values = outlined(number) * (1 + number % 2)
            values[0] = 255
            mask = Image.fromarray(values).convert("P")
            mask.putpalette(palette)
            mask.save(base / kind / f"{name}.png")
    for number, name in enumerate(names):
        label = ("cat", "dog")[number % 2]
        write(
            base / "Annotations" / f"{name}.xml",
            VOC_XML.format(
                name=name,
                label=label,
                left=3 + number % 9,
                top=4 + number % 7,
                right=23 + number % 9,
                bottom=21 + number % 7,
            ),
        )
    for kind in ("Main", "Segmentation"):
        write(base / "ImageSets" / kind / "train.txt", "".join(f"{name}\n" for name in names[:5]))
        write(base / "ImageSets" / kind / "val.txt", "".join(f"{name}\n" for name in names[5:]))
        write(base / "ImageSets" / kind / "trainval.txt", "".join(f"{name}\n" for name in names))
    for at, label in enumerate(("cat", "dog")):
        for split, held in (("train", names[:5]), ("val", names[5:])):
            lines = [f"{name} {1 if int(name[-1]) % 2 == at else -1}\n" for name in held]
            write(base / "ImageSets" / "Main" / f"{label}_{split}.txt", "".join(lines))


VOC_XML = """<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename>
<size><width>48</width><height>40</height><depth>3</depth></size><segmented>1</segmented>
<object><name>{label}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object></annotation>
"""


def of_voc(root: Path) -> list[Picture]:
    pictures = []
    for split in ("train", "val"):
        boxes = datasets.VOCDetection(root, image_set=split)
        shapes = datasets.VOCSegmentation(root, image_set=split)
        for (picture, about), (_, mask) in zip(boxes, shapes, strict=True):
            label = about["annotation"]["object"][0]["name"]
            held = np.asarray(mask) == 1
            pictures.append(Picture(rgb(picture), label, split, about["annotation"]["filename"], mask=held))
    return pictures


def of_voc_shapes(root: Path) -> list[Picture]:
    """Its folder alone says neither labels nor splits."""
    return [Picture(one.pixels, "", "", one.file, mask=one.mask) for one in of_voc(root)]


def coco(root: Path) -> None:
    images, annotations, texts = [], [], []
    for number in range(6):
        name = f"{number:012d}.jpg"
        save_all([root / "val2017" / name], first=number)
        images.append({"id": number, "file_name": name, "width": 48, "height": 40})
        left, top = 2 + number % 9, 3 + number % 7
        outline = [left, top, left + 21, top, left + 21, top + 18, left, top + 18]
        about = {"id": number, "image_id": number, "category_id": (17, 18, 58)[number % 3], "iscrowd": 0}
        annotations.append({**about, "segmentation": [outline], "bbox": [left, top, 21, 18], "area": 378})
        texts += [
            {
                "id": 2 * number + n,
                "image_id": number,
                "caption": f"A picture number {number} seen {n} times.",
            }
            for n in (0, 1)
        ]
    categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": 58, "name": "hot dog"}]
    write(
        root / "annotations" / "instances_val2017.json",
        json.dumps(
            {
                "info": {},
                "licenses": [],
                "images": images,
                "annotations": annotations,
                "categories": categories,
            }
        ),
    )
    write(
        root / "annotations" / "captions_val2017.json",
        json.dumps({"info": {}, "licenses": [], "images": images, "annotations": texts}),
    )


def of_coco(root: Path) -> list[Picture]:
    data_set = datasets.CocoDetection(root / "val2017", str(root / "annotations" / "instances_val2017.json"))
    pictures = []
    for number, (picture, target) in enumerate(data_set):
        name = data_set.coco.loadCats(target[0]["category_id"])[0]["name"]
        file = data_set.coco.loadImgs(data_set.ids[number])[0]["file_name"]
        pictures.append(Picture(rgb(picture), name, file=file, mask=data_set.coco.annToMask(target[0])))
    return pictures


def coco_texts(folder: Path) -> WrittenData:
    root = folder / "data"
    coco(root)
    data_set = datasets.CocoCaptions(root / "val2017", str(root / "annotations" / "captions_val2017.json"))
    texts = [one for _, held in data_set for one in held]
    return WrittenData(captions="{folder}/data/annotations/captions_val2017.json", texts=texts)


def cityscapes(root: Path) -> None:
    for at, (split, city) in enumerate([("train", "aachen"), ("train", "bochum"), ("val", "lindau")]):
        for n in range(3):
            name = f"{city}_{n:06d}_000019"
            number = 3 * at + n
            save_all([root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"], first=number)
            base = root / "gtFine" / split / city
            base.mkdir(parents=True, exist_ok=True)
            values = outlined(number) * 19 + 7
            for kind in ("labelIds", "instanceIds", "color"):
                Image.fromarray(values).save(base / f"{name}_gtFine_{kind}.png")
            write(base / f"{name}_gtFine_polygons.json", "{}")


def of_cityscapes(root: Path) -> list[Picture]:
    pictures = []
    for split in ("train", "val"):
        data_set = datasets.Cityscapes(str(root), split, target_type="semantic")
        for (picture, mask), file in zip(data_set, data_set.images, strict=True):
            pictures.append(Picture(rgb(picture), "", split, Path(file).name, mask=np.asarray(mask) == 26))
    return pictures


def dogs(root: Path) -> None:
    for at, name in enumerate(DOGS):
        save_all([root / "Images" / name / f"{name[:9]}_{n}.jpg" for n in range(3)], first=3 * at)
        write(root / "Annotation" / name / f"{name[:9]}_0", "<annotation/>")


def lists(places: str, root: str) -> dict[str, Any]:
    """The evaluation images of a second list."""
    return {"options": {"val": f"{TREE}/{places}?root={TREE}/{root}"}}


SPEC = "torchvision:{name}?root={{folder}}/data"
TREE = "{folder}/data"
TRIMAPS = "oxford-iiit-pet/annotations/trimaps"


def asked(name: str, more: str = "") -> str:
    return SPEC.format(name=name) + more


def of_splits(make: Any, *splits: str) -> Truth:
    return lambda root: both(partial(make, root), splits)


def whole(make: Any) -> Truth:
    return lambda root: loaded(make(root))


def folders(below: str, *splits: str) -> Truth:
    return lambda root: of_folders(root / below, splits or ("train", "val"))


def leaf(truth: Truth) -> Truth:
    """The same pictures, where the tree alone says no split."""
    return lambda root: [Picture(one.pixels, one.label, "", one.file) for one in truth(root)]


def unlabelled(truth: Truth) -> Truth:
    return lambda root: [Picture(one.pixels, None, "", one.file) for one in truth(root)]


SETS: dict[tuple[str, str], tuple[Lay, Truth, str, dict[str, Any]]] = {
    ("ImageFolder", "its folder"): (image_folder, whole(datasets.ImageFolder), TREE, {}),
    ("ImageFolder", "torchvision:ImageFolder"): (
        image_folder,
        whole(datasets.ImageFolder),
        asked("ImageFolder"),
        {},
    ),
    ("ImageFolder", "train/ and val/"): (image_folder_split, of_folders, TREE, {}),
    ("ImageFolder", "train/ and val/, --val"): (
        image_folder_split,
        of_folders,
        f"{TREE}/train",
        {"options": {"val": f"{TREE}/val"}},
    ),
    ("ImageFolder", "folders in class folders"): (
        deep_folder,
        whole(datasets.ImageFolder),
        TREE,
        {"excused": "--class-level 1"},
    ),
    ("ImageFolder", "numbers as names"): (numbered_folder, whole(datasets.ImageFolder), TREE, {}),
    ("ImageFolder", "ImageNet's train and val by WordNet id"): (imagenet_folder, of_imagenet, TREE, {}),
    ("ImageFolder", "Stanford Dogs"): (
        dogs,
        lambda root: loaded(datasets.ImageFolder(root / "Images")),
        f"{TREE}/Images",
        {},
    ),
    ("Imagenette", "torchvision:Imagenette"): (imagenette, of_imagenette, asked("Imagenette"), {}),
    ("Imagenette", "its folder"): (imagenette, folders("imagenette2"), f"{TREE}/imagenette2", {}),
    ("Caltech101", "torchvision:Caltech101"): (caltech101, of_caltech101, asked("Caltech101"), {}),
    ("Caltech101", "its folder"): (
        caltech101,
        lambda root: loaded(datasets.ImageFolder(root / "caltech101" / "101_ObjectCategories")),
        f"{TREE}/caltech101/101_ObjectCategories",
        {},
    ),
    ("Caltech256", "torchvision:Caltech256"): (caltech256, of_caltech256, asked("Caltech256"), {}),
    ("Caltech256", "its folder"): (caltech256, of_caltech256, f"{TREE}/caltech256/256_ObjectCategories", {}),
    ("DTD", "torchvision:DTD"): (dtd, of_splits(datasets.DTD, "train", "val", "test"), asked("DTD"), {}),
    ("DTD", "images/"): (
        dtd,
        leaf(of_splits(datasets.DTD, "train", "val", "test")),
        f"{TREE}/dtd/dtd/images",
        {},
    ),
    ("DTD", "labels/train1.txt and labels/test1.txt"): (
        dtd,
        of_splits(datasets.DTD, "train", "test"),
        f"{TREE}/dtd/dtd/labels/train1.txt?root={TREE}/dtd/dtd/images",
        lists("dtd/dtd/labels/test1.txt", "dtd/dtd/images"),
    ),
    ("EuroSAT", "torchvision:EuroSAT"): (eurosat, whole(datasets.EuroSAT), asked("EuroSAT"), {}),
    ("EuroSAT", "its folder"): (eurosat, whole(datasets.EuroSAT), f"{TREE}/eurosat/2750", {}),
    ("FGVCAircraft", "torchvision:FGVCAircraft"): (fgvc, of_aircraft, asked("FGVCAircraft"), {}),
    ("FGVCAircraft", "annotation_level=family"): (
        fgvc,
        partial(of_aircraft, level="family"),
        asked("FGVCAircraft", "&annotation_level=family"),
        {},
    ),
    ("FGVCAircraft", "images_variant_train.txt and test"): (
        fgvc,
        partial(of_aircraft, splits=("train", "test")),
        f"{TREE}/fgvc-aircraft-2013b/data/images_variant_train.txt?root={TREE}/fgvc-aircraft-2013b/data/images",
        lists("fgvc-aircraft-2013b/data/images_variant_test.txt", "fgvc-aircraft-2013b/data/images"),
    ),
    ("Food101", "torchvision:Food101"): (
        food101,
        of_splits(datasets.Food101, "train", "test"),
        asked("Food101"),
        {},
    ),
    ("Food101", "images/"): (
        food101,
        leaf(of_splits(datasets.Food101, "train", "test")),
        f"{TREE}/food-101/images",
        {},
    ),
    ("Food101", "meta/train.txt and meta/test.txt"): (
        food101,
        of_splits(datasets.Food101, "train", "test"),
        f"{TREE}/food-101/meta/train.txt?root={TREE}/food-101/images",
        lists("food-101/meta/test.txt", "food-101/images"),
    ),
    ("GTSRB", "torchvision:GTSRB"): (gtsrb, of_gtsrb, asked("GTSRB"), {}),
    ("INaturalist", "2021_train_mini, torchvision:INaturalist"): (
        inaturalist_2021,
        partial(of_inaturalist, version="2021_train_mini"),
        asked("INaturalist", "&version=2021_train_mini"),
        {},
    ),
    ("INaturalist", "2021_train_mini, its folder"): (
        inaturalist_2021,
        partial(of_inaturalist, version="2021_train_mini"),
        f"{TREE}/2021_train_mini",
        {},
    ),
    ("INaturalist", "2018, torchvision:INaturalist"): (
        inaturalist_2018,
        partial(of_inaturalist, version="2018"),
        asked("INaturalist", "&version=2018"),
        {},
    ),
    ("INaturalist", "2017, torchvision:INaturalist"): (
        inaturalist_2017,
        partial(of_inaturalist, version="2017"),
        asked("INaturalist", "&version=2017"),
        {},
    ),
    ("OxfordIIITPet", "torchvision:OxfordIIITPet"): (pets, of_pets, asked("OxfordIIITPet"), {}),
    ("OxfordIIITPet", "images/, trimaps/ as masks"): (
        pets,
        lambda root: [Picture(one.pixels, None, mask=one.mask) for one in of_pets_with_masks(root)],
        f"{TREE}/oxford-iiit-pet/images",
        {"masks": f"{TREE}/{TRIMAPS}", "masks_then": f"{TREE}/{TRIMAPS}?value=1"},
    ),
    ("StanfordCars", "torchvision:StanfordCars"): (cars, of_cars, asked("StanfordCars"), {}),
    ("SUN397", "torchvision:SUN397"): (sun397, whole(datasets.SUN397), asked("SUN397"), {}),
    ("Country211", "torchvision:Country211"): (country211, of_country211, asked("Country211"), {}),
    ("Country211", "its folder"): (country211, of_country211, f"{TREE}/country211", {}),
    ("RenderedSST2", "torchvision:RenderedSST2"): (sst2, of_sst2, asked("RenderedSST2"), {}),
    ("RenderedSST2", "its folder"): (sst2, of_sst2, f"{TREE}/rendered-sst2", {}),
    ("Places365", "places365_train_standard.txt"): (
        places365,
        lambda root: leaf(partial(of_places365, splits=("train-standard",)))(root),
        f"{TREE}/places365_train_standard.txt?root={TREE}/data_256_standard",
        {},
    ),
    ("Places365", "both lists"): (
        places365,
        of_places365,
        f"{TREE}/places365_train_standard.txt?root={TREE}/data_256_standard",
        lists("places365_val.txt", "val_256"),
    ),
    ("Flowers102", "jpg/"): (flowers, unlabelled(of_flowers), f"{TREE}/flowers-102/jpg", {}),
    ("LFWPeople", "its folder"): (lfw, of_lfw, f"{TREE}/lfw-py/lfw_funneled", {}),
    ("VOC", "JPEGImages/, SegmentationClass/ as masks"): (
        voc,
        of_voc_shapes,
        f"{TREE}/VOCdevkit/VOC2012/JPEGImages",
        {
            "masks": f"{TREE}/VOCdevkit/VOC2012/SegmentationClass",
            "masks_then": f"{TREE}/VOCdevkit/VOC2012/SegmentationClass?value=1",
        },
    ),
    ("VOC", "its folder"): (voc, of_voc_shapes, f"{TREE}/VOCdevkit/VOC2012", {}),
    ("VOC", "ImageSets/Main/train.txt and val.txt"): (
        voc,
        lambda root: [Picture(one.pixels, "", one.split, one.file) for one in of_voc(root)],
        f"{TREE}/VOCdevkit/VOC2012/ImageSets/Main/train.txt?root={TREE}/VOCdevkit/VOC2012/JPEGImages",
        lists("VOCdevkit/VOC2012/ImageSets/Main/val.txt", "VOCdevkit/VOC2012/JPEGImages"),
    ),
    ("CocoDetection", "instances_val2017.json"): (
        coco,
        of_coco,
        f"{TREE}/annotations/instances_val2017.json",
        {"masks": f"{TREE}/annotations/instances_val2017.json"},
    ),
    ("CocoDetection", "?root=DIR"): (
        coco,
        of_coco,
        f"{TREE}/annotations/instances_val2017.json?root={TREE}/val2017",
        {"masks": f"{TREE}/annotations/instances_val2017.json"},
    ),
    ("Cityscapes", "leftImg8bit/"): (cityscapes, of_cityscapes, f"{TREE}/leftImg8bit", {}),
}
CASES = {
    key: partial(case, lay=held[0], truth=held[1], spec=held[2], **held[3]) for key, held in SETS.items()
}
CASES[("CocoCaptions", "captions_val2017.json")] = coco_texts
