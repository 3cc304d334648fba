// YuNet (Wu et al., "YuNet: a tiny millisecond-level face detector", 2023): boxes, scores and five landmarks.
#pragma once

#include "runtime.h"

namespace facet {

class Detector {
public:
    Detector(const Runtime &runtime, Bytes model, const facet_model &description);

    /// Faces after suppression, largest box first, at most `faces_max`; only box, score and landmarks are set.
    std::vector<facet_face> detect(const Image &image, int faces_max) const;

private:
    /// The image as the network sees it: scaled, then padded with black to a multiple of the coarsest stride.
    struct Canvas {
        int width, height;
        /// Pixels of the image per pixel of the canvas.
        float scale_x, scale_y;
        std::vector<float> planes;
    };

    Session session;
    facet_model description;

    Canvas canvas(const Image &image) const;
    std::vector<facet_face> candidates(Canvas &canvas) const;
    std::vector<facet_face> suppress(std::vector<facet_face> faces) const;
};

}  // namespace facet
