/// The version of this software, as `--version`, `facectl status` and the release archive name it.
package enum FacetVersion {
    package static let text = "0.2.0"
}
