from .inputs import find_slides, outputs_of, tissue_mask
from .model_text import description_text, models_dict, models_text
from .nuclei import nuclei_key
from .outlined_images import label_images
from .run import SegmentOptions, SegmentSummary, segment_slides

__all__ = [
    "SegmentOptions",
    "SegmentSummary",
    "description_text",
    "find_slides",
    "label_images",
    "models_dict",
    "models_text",
    "nuclei_key",
    "outputs_of",
    "segment_slides",
    "tissue_mask",
]
