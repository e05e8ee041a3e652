from core.common.entries import Taken

VALUES = {"mean": [0.5], "scale": {"width": 4, "height": 3}, "extra": {"a": 1}, "note": "x"}


def test_left__is_what_nobody_read():
    settings = Taken(VALUES, "config.json")
    assert settings.left() == VALUES
    assert settings["mean"] == [0.5]
    assert settings.get("absent", 7) == 7
    assert settings.inner("scale").get("width") == 4
    assert settings.left("note") == {"scale.height": 3, "extra": {"a": 1}}
    assert settings.left("n*", "scale.*", "extra") == {}


def test_asking_whether_a_key_is_there__reads_nothing():
    settings = Taken(VALUES)
    assert "mean" in settings
    assert list(settings) == list(VALUES)
    assert "mean" in settings.left()


def test_inner__is_empty_where_there_is_no_object():
    settings = Taken({"size": 224})
    assert dict(settings.inner("size")) == {}
    assert dict(settings.inner("absent")) == {}
    assert settings.left() == {"size": 224}


def test_an_object_read_whole__leaves_nothing():
    settings = Taken(VALUES)
    assert settings["extra"] == {"a": 1}
    assert "extra" not in settings.left()
