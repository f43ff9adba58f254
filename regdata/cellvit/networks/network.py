"""CellViT: a ViT encoder and a UNETR-like decoder with three branches (Hörst et al., 2024)."""

from itertools import pairwise

from torch import Tensor, cat, nn
from torch.nn.functional import interpolate

from regdata.cellvit.networks.blocks import ConvBlock, DeconvBlock
from regdata.cellvit.networks.config import CellViTConfig, Decoder
from regdata.cellvit.networks.encoders import build_encoder
from regdata.errors import RegdataError


class Branch(nn.Module):
    """One branch of the decoder: tokens up to full resolution, meeting a skip at each scale."""

    def __init__(self, token_width: int, decoder: Decoder, channels_out: int) -> None:
        super().__init__()
        w8, w4, w2, w1 = decoder.branch
        d8, d4, d2 = decoder.depths
        self.bottleneck_upsampler = nn.ConvTranspose2d(token_width, w8, 2, 2)
        self.decoder3_upsampler = nn.Sequential(
            *_convolutions(w8, d8), nn.ConvTranspose2d(w8, w4, 2, 2)
        )
        self.decoder2_upsampler = nn.Sequential(
            *_convolutions(w4, d4), nn.ConvTranspose2d(w4, w2, 2, 2)
        )
        self.decoder1_upsampler = nn.Sequential(
            *_convolutions(w2, d2), nn.ConvTranspose2d(w2, w1, 2, 2)
        )
        self.decoder0_header = nn.Sequential(*_convolutions(w1, 2), nn.Conv2d(w1, channels_out, 1))

    def forward(self, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """Tokens (B, D, h, w) and skips at 1, 1/2, 1/4, 1/8 -> logits (B, C, H, W)."""
        s1, s2, s4, s8 = skips
        x = self.decoder3_upsampler(cat([s8, self.bottleneck_upsampler(tokens)], 1))
        x = self.decoder2_upsampler(cat([s4, x], 1))
        x = self.decoder1_upsampler(cat([s2, x], 1))
        out: Tensor = self.decoder0_header(cat([s1, resized(x, s1.shape[-2:])], 1))
        return out


def _convolutions(width: int, count: int) -> list[ConvBlock]:
    """The first takes the skip and the branch together."""
    return [ConvBlock(2 * width, width), *(ConvBlock(width, width) for _ in range(count - 1))]


def _skip(channels_in: int, widths: tuple[int, ...], behind_stem: bool) -> nn.Sequential:
    block = ConvBlock if behind_stem else DeconvBlock
    return nn.Sequential(*(block(a, b) for a, b in pairwise((channels_in, *widths))))


def resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear, pixel centres half a pixel in; as it is when it has the size."""
    return x if x.shape[-2:] == size else interpolate(x, size=size, mode="bilinear")


class CellViT(nn.Module):
    """The network: image in, logits of the maps and the tokens out.

    Parameters
    ----------
    config
        Encoder, widths, class names, normalisation.
    """

    def __init__(self, config: CellViTConfig) -> None:
        super().__init__()
        self.config = config
        encoder, decoder, width = config.encoder, config.decoder, config.token_width
        stem = encoder.kind == "stem"
        maps = encoder.stem_widths if encoder.kind == "stem" else (width, width, width)
        self.encoder = build_encoder(encoder)
        self.decoder0 = _skip(3, decoder.image, True)
        self.decoder1 = _skip(maps[0], decoder.skips[0], stem)
        self.decoder2 = _skip(maps[1], decoder.skips[1], stem)
        self.decoder3 = _skip(maps[2], decoder.skips[2], stem)
        binary = 4 if config.regression else 2
        self.nuclei_binary_map_decoder = Branch(width, decoder, binary)
        self.hv_map_decoder = Branch(width, decoder, 2)
        self.nuclei_type_maps_decoder = Branch(width, decoder, len(config.classes))
        if config.token_head:
            self.token_head = nn.Conv2d(width, len(config.classes), 1)
        if config.tissues:
            pooled = encoder.neck if encoder.kind == "sam" else width
            self.tissue_head = nn.Linear(pooled, config.tissues)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Run the network.

        Parameters
        ----------
        image
            (B, 3, H, W), normalised with the config's mean and std; H and W multiples of
            `config.multiple`.

        Returns
        -------
        dict
            `nuclei_binary_map` (B, 2, H, W) logits, background first, `hv_map` (B, 2, H, W)
            horizontal then vertical offset in -1..1, `nuclei_type_map` (B, C, H, W) logits with
            background first, `tokens` (B, D, h, w) of the last block before any norm; with a
            tissue head `tissue_types` (B, T) logits, with a regression branch `regression_map`
            (B, 2, H, W), with a token head `token_types` (B, C, h, w) logits.

        Raises
        ------
        RegdataError
            The sides do not fit.
        """
        height, width = image.shape[-2:]
        self._check(height, width)
        image = self._whole_patches(image)
        encoded = self.encoder(image)
        skips = [
            resized(self.decoder0(image), (height, width)),
            self.decoder1(encoded.maps[0]),
            self.decoder2(encoded.maps[1]),
            self.decoder3(encoded.maps[2]),
        ]
        binary = self.nuclei_binary_map_decoder(encoded.tokens, skips)
        out = {
            "nuclei_binary_map": binary[:, :2],
            "hv_map": self.hv_map_decoder(encoded.tokens, skips),
            "nuclei_type_map": self.nuclei_type_maps_decoder(encoded.tokens, skips),
            "tokens": encoded.tokens,
        }
        if self.config.regression:
            out["regression_map"] = binary[:, 2:]
        if self.config.token_head:
            out["token_types"] = self.token_head(encoded.tokens)
        if self.config.tissues:
            out["tissue_types"] = self.tissue_head(encoded.pooled)
        return out

    def _check(self, height: int, width: int) -> None:
        multiple = self.config.multiple
        if height % multiple or width % multiple or min(height, width) < self.config.encoder.patch:
            raise RegdataError(
                f"expected an image whose sides are multiples of {multiple} and at least "
                f"{self.config.encoder.patch} px, got {width} x {height}; pad it"
            )

    def _whole_patches(self, image: Tensor) -> Tensor:
        """Virchow's way to patches of 14 px: 256 -> 252, 1024 -> 1022."""
        encoder = self.config.encoder
        if encoder.kind != "vit" or not encoder.whole_patches:
            return image
        size = tuple(side // encoder.patch * encoder.patch for side in image.shape[-2:])
        return interpolate(image, size=size, mode="area")
