"""Draw a scene's pixels and masks with Pillow and integer arithmetic: the same bytes everywhere."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from core.worlds.atlas import load_atlas
from core.worlds.backgrounds import NEUTRAL_FLOOR, NEUTRAL_WALL, TILE, grain, texture
from core.worlds.scenes import LIGHT_NODES, UNITY, Cover, Ground, Item, ScenePlan

REFERENCE_SIZE = 96  # pixels; the unit of blur; occlusion is measured at this size
FAR_WIDENING = 1.7  # how much more of the floor the horizon shows than the lower edge
HUES = {
    "red": (214, 40, 36),
    "yellow": (250, 214, 30),
    "green": (40, 160, 60),
    "blue": (40, 96, 220),
    "pink": (244, 110, 190),
    "white": (250, 250, 250),
}
SHADE = 140  # of 255: brightness of the darkest part of a recoloured glyph
TINTS = ((20, 40, 90), (90, 40, 20), (30, 80, 50), (80, 30, 80), (40, 40, 44))


@dataclass(frozen=True)
class Layer:
    """A shape `alpha` laid over the background at (x, y); `fill` None is the background again."""

    role: str
    fill: Image.Image | int | None
    alpha: Image.Image
    x: int
    y: int
    opacity: float = 1.0


def paint(plan: ScenePlan, size: int) -> Image.Image:
    """Draw a Glyphworld scene as an RGB image of (size, size)."""
    background = paint_ground(plan.ground, size)
    canvas = background.copy()
    for layer in layers(plan, size):
        box = (layer.x, layer.y, layer.x + layer.alpha.width, layer.y + layer.alpha.height)
        fill = background.crop(box) if layer.fill is None else layer.fill
        canvas.paste(fill, box, _faded(layer.alpha, layer.opacity))
    return STYLE_PAINTERS[plan.style](_lit(plan, canvas), plan.tone)


def paint_masks(plan: ScenePlan, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene's core and spurious mask, (size, size) uint8 each, 0 to 255; they add up to at most 255.

    Core = visible shape of the main glyph, without the hidden parts; fading does not count. Spurious =
    everything planted as a cue: the companion's visible shape, whatever its class, and the part of the
    background that shows the class's own cue (empty if the background contradicts the class).
    """
    ground = _region(plan.ground, size) if plan.background_agrees else np.zeros((size, size), np.uint8)
    visible = {"ground": ground.copy(), "companion": np.zeros_like(ground), "main": np.zeros_like(ground)}
    for layer in layers(plan, size):
        if layer.role == "shadow":
            continue
        alpha = layer_alpha(layer, size)
        for name, mask in visible.items():
            visible[name] = _keep(mask, 255 - alpha)
        if layer.role in visible:
            visible[layer.role] += alpha
        if layer.role == "cover":
            visible["ground"] += _keep(ground, alpha)
    core = visible["main"]
    return core, np.minimum(np.maximum(visible["ground"], visible["companion"]), 255 - core)


def measure_occlusion(plan: ScenePlan) -> float:
    """Measure the share of a scene's main glyph that objects in front hide, in [0, 1], from the alpha."""
    if plan.occluder is None and plan.cover is None:
        return 0.0
    whole = visible = np.zeros((REFERENCE_SIZE, REFERENCE_SIZE), np.uint8)
    for layer in _main_and_front(plan, REFERENCE_SIZE):
        if layer.role == "main":
            whole = visible = layer_alpha(layer, REFERENCE_SIZE)
        elif layer.role != "shadow":
            visible = _keep(visible, 255 - layer_alpha(layer, REFERENCE_SIZE))
    return 1 - float(visible.sum(dtype=np.int64)) / max(float(whole.sum(dtype=np.int64)), 1.0)


def layers(plan: ScenePlan, size: int) -> Iterator[Layer]:
    """Yield everything in front of a Glyphworld scene's background, from back to front."""
    for item in plan.distractors:
        yield from _object("distractor", item, plan, size)
    if plan.companion is not None:
        yield from _object("companion", plan.companion, plan, size)
    yield from _main_and_front(plan, size)


def _main_and_front(plan: ScenePlan, size: int) -> Iterator[Layer]:
    main = list(_object("main", plan.main, plan, size, blur=plan.blur, opacity=1 - plan.fade))
    yield from main
    if plan.cover is not None:
        sprite = main[-1]
        yield Layer("cover", None, _cover_alpha(plan.cover, sprite.alpha.size), sprite.x, sprite.y)
    if plan.occluder is not None:
        yield from _object("occluder", plan.occluder, plan, size)


def _object(
    role: str, item: Item, plan: ScenePlan, size: int, *, blur: float = 0.0, opacity: float = 1.0
) -> Iterator[Layer]:
    """Yield the object's shadow, then the object."""
    rgb, alpha = _sprite(item, size, blur)
    x = round(item.x * size - alpha.width / 2)
    y = round(item.y * size - alpha.height / 2)
    right, down, strength = plan.shadow
    soft = max(1, round(size / 40))
    shadow = ImageOps.expand(alpha, soft).filter(ImageFilter.BoxBlur(soft))
    shadow_x = x - soft + round(right * size)
    shadow_y = y - soft + round(down * size)
    yield Layer("shadow", 0, shadow, shadow_x, shadow_y, strength * opacity)
    yield Layer(role, rgb, alpha, x, y, opacity)


def _sprite(item: Item, size: int, blur: float) -> tuple[Image.Image, Image.Image]:
    """Return RGB and alpha of one glyph: scaled, rotated, tinted and blurred."""
    sprite = load_atlas().sprites[item.glyph]
    scale = item.size * size / max(sprite.size)
    scaled_size = (max(1, round(sprite.width * scale)), max(1, round(sprite.height * scale)))
    sprite = sprite.resize(scaled_size, Image.Resampling.BICUBIC)
    if item.flip:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sprite = sprite.rotate(item.angle, Image.Resampling.BICUBIC, expand=True)
    if blur:
        radius = blur * size / REFERENCE_SIZE
        padded = ImageOps.expand(sprite, round(2 * radius) + 1)
        sprite = padded.filter(ImageFilter.GaussianBlur(radius))
    straight = sprite.convert("RGBA")
    pixels = np.asarray(straight)
    colours = pixels[..., :3] if item.hue is None else _recoloured(pixels, HUES[item.hue])
    tinted = colours * np.asarray(item.gains, np.uint16) // UNITY
    return Image.fromarray(np.minimum(tinted, 255).astype(np.uint8)), straight.getchannel("A")


def _recoloured(pixels: np.ndarray, hue: tuple[int, int, int]) -> np.ndarray:
    """(H, W, 3) uint8: a glyph (H, W, 4) in shades of one hue; its own brightness gives the shades."""
    luma = pixels[..., :3].astype(np.int32) @ np.array([77, 150, 29]) >> 8
    seen = luma[pixels[..., 3] >= 128]
    low, high = (int(seen.min()), int(seen.max())) if seen.size else (0, 255)
    shade = SHADE + (255 - SHADE) * (luma.clip(low, high) - low) // max(high - low, 1)
    return (shade[..., None] * np.asarray(hue, np.int32) // 255).astype(np.uint8)


def _cover_alpha(cover: Cover, shape: tuple[int, int]) -> Image.Image:
    """Draw a half-plane over a box of (width, height): 255 on the hidden side, with a soft edge."""
    width, height = shape
    across = (np.arange(width) + 0.5) / width - 0.5
    down = (np.arange(height) + 0.5) / height - 0.5
    along = cover.direction[0] * across[None, :] + cover.direction[1] * down[:, None]
    reach = (abs(cover.direction[0]) + abs(cover.direction[1])) / 2
    edge = (along - reach * (1 - 2 * cover.amount)) * max(shape) / 3
    return Image.fromarray((np.clip(edge + 0.5, 0, 1) * 255).astype(np.uint8))


def paint_ground(ground: Ground, size: int) -> Image.Image:
    """Draw the background of a Glyphworld scene, (size, size): the cue everywhere, or up to a horizon."""
    if ground.horizon is None:
        return _flat(ground.kind, ground.variant, ground.window, ground.flip, size)
    if ground.is_floor:
        near = _receding(ground.kind, ground.variant, ground.window, ground.flip, size)
        far = _flat(NEUTRAL_WALL, ground.neutral_variant, ground.neutral_window, ground.flip, size)
        return Image.composite(near, far, Image.fromarray(_region(ground, size)))
    wall = _flat(ground.kind, ground.variant, ground.window, ground.flip, size)
    floor = _receding(NEUTRAL_FLOOR, ground.neutral_variant, ground.neutral_window, ground.flip, size)
    return Image.composite(wall, floor, Image.fromarray(_region(ground, size)))


def _flat(kind: str, variant: int, window: tuple[float, float, float], flip: bool, size: int) -> Image.Image:
    left, top, width = (TILE * part for part in window)
    tile = texture(kind, variant)
    view = tile.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + width, top + width))
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else view


def _receding(
    kind: str, variant: int, window: tuple[float, float, float], flip: bool, size: int
) -> Image.Image:
    """Like `_flat`, but in perspective: the upper edge shows a wider piece of the tile."""
    left, top, width = (TILE * part for part in window)
    near_left, near_right = left, left + width
    spread = width * (FAR_WIDENING - 1) / 2
    far_left, far_right = max(0.0, left - spread), min(float(TILE), left + width + spread)
    if flip:
        near_left, near_right, far_left, far_right = near_right, near_left, far_right, far_left
    bottom = top + width
    corners = (far_left, top, near_left, bottom, near_right, bottom, far_right, top)
    return texture(kind, variant).transform(
        (size, size), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR
    )


def _region(ground: Ground, size: int) -> np.ndarray:
    """(size, size) uint8, 0 to 255: where the background shows its cue kind."""
    if ground.horizon is None:
        return np.full((size, size), 255, np.uint8)
    columns = (np.arange(size) + 0.5) / size * (len(ground.horizon) - 1)
    line = np.interp(columns, np.arange(len(ground.horizon)), ground.horizon) * size
    below = np.clip((np.arange(size)[:, None] - line[None, :]) / 2 + 0.5, 0, 1)
    return ((below if ground.is_floor else 1 - below) * 255).astype(np.uint8)


def _lit(plan: ScenePlan, canvas: Image.Image) -> Image.Image:
    """Multiply the scene by the enlarged light grid, then add camera noise."""
    nodes = np.asarray(plan.light, np.uint8).reshape(LIGHT_NODES, LIGHT_NODES, 3)
    gains = np.asarray(Image.fromarray(nodes).resize(canvas.size, Image.Resampling.BICUBIC), np.uint16)
    lit = (np.asarray(canvas) * gains // UNITY).astype(np.int16)
    height, width = lit.shape[:2]
    top, left = (int(at * TILE) for at in plan.grain_at)
    rows, columns = (top + np.arange(height)) % TILE, (left + np.arange(width)) % TILE
    noisy = lit + grain()[rows[:, None], columns]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _faded(alpha: Image.Image, opacity: float) -> Image.Image:
    level = round(256 * opacity)
    return alpha if level == 256 else alpha.point([value * level >> 8 for value in range(256)])


def layer_alpha(layer: Layer, size: int) -> np.ndarray:
    """(size, size) uint8: the alpha of an object of a Glyphworld scene, cut off at the image's edges."""
    canvas = Image.new("L", (size, size))
    canvas.paste(layer.alpha, (layer.x, layer.y))
    return np.asarray(canvas)


def _keep(mask: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return `mask` times `share` / 255, rounded down."""
    return (mask.astype(np.uint16) * share // 255).astype(np.uint8)


def _plain(image: Image.Image, tone: float) -> Image.Image:
    return image


def _sketch(image: Image.Image, tone: float) -> Image.Image:
    """Pencil on paper: grey divided by its own blur leaves the lines; dark parts are shaded."""
    gray = image.convert("L")
    smooth = np.asarray(gray.filter(ImageFilter.BoxBlur(3)), np.uint16)
    sharp = np.asarray(gray, np.uint16)
    lines = np.minimum(sharp * 255 // (smooth + 1), 255)
    lines = np.maximum(3 * lines.astype(np.int16) - 2 * 255 + 24, 0)
    shading = 150 + np.asarray(gray.filter(ImageFilter.BoxBlur(1)), np.int16) * 105 // 255
    pencil = Image.fromarray((np.minimum(lines, 255) * shading.astype(np.int32) // 255).astype(np.uint8))
    return ImageOps.colorize(pencil, (40, 36, 48), (255, 252 - int(10 * tone), 246 - int(26 * tone)))


def _pastel(image: Image.Image, tone: float) -> Image.Image:
    """Reduce the image to few, light, flat colours."""
    flat = ImageOps.posterize(image.filter(ImageFilter.MedianFilter(3)), 3)
    lift = 70 + int(40 * tone)
    return flat.point([min(lift + value * (255 - lift) // 224, 255) for value in range(256)] * 3)


def _mono(image: Image.Image, tone: float) -> Image.Image:
    """Convert the image to shades of one ink."""
    ink = TINTS[int(tone * len(TINTS))]
    return ImageOps.colorize(ImageOps.autocontrast(image.convert("L"), 1), ink, (252, 248, 240))


STYLE_PAINTERS = {"plain": _plain, "sketch": _sketch, "pastel": _pastel, "mono": _mono}
