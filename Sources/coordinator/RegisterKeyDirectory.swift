import AccessControl
import ClusterModel
import FaceModel
import KeyHierarchy
import RekognitionAPI

/// Access keys from the control plane's registers, opened with the key file; read anew for each request, so that a
/// revoked key is refused at once.
struct RegisterKeyDirectory: KeyDirectory {
    let controlPlane: any ControlPlane
    let masterKey: MasterKey

    func lookup(_ key: AccessKeyID) async throws(APIError) -> (principal: Principal, secret: [UInt8])? {
        guard case .accessKey(let register)? = try await read(.accessKey(key))?.value, register.revoked == nil else {
            return nil
        }
        do throws(KeyError) {
            let secret = try masterKey.openSecret(register.sealedSecret, register: RegisterKey.accessKey(key).path)
            let principal = Principal(
                tenant: register.tenant, accessKey: key, person: register.person,
                roles: Set(register.roles.compactMap(Role.init(rawValue:))))
            return (principal, secret)
        } catch {
            throw APIError(.internal, "Internal server error: an access key does not open with this key file.")
        }
    }

    func isEmpty() async throws(APIError) -> Bool {
        do throws(ControlPlaneError) {
            return try await controlPlane.list(.accessKeys).isEmpty
        } catch {
            throw APIError(.internal, "Internal server error: access keys cannot be listed: \(error)")
        }
    }

    private func read(_ key: RegisterKey) async throws(APIError) -> Register? {
        do throws(ControlPlaneError) {
            return try await controlPlane.read(key)
        } catch {
            throw APIError(.internal, "Internal server error: access keys cannot be read: \(error)")
        }
    }
}
